"""The services there are, imported only when they are needed."""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chassis.app import Service

SERVICES = ("auth_service", "inventory_service", "order_service", "payment_service", "notification_service")


@cache
def load(name: str) -> "Service":
    """A service by its name.

    Raises:
        ModuleNotFoundError: when there is no such service.
    """
    service: Service = import_module(f"{name}.main").service
    return service
