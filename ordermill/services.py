"""What a process may host, by name; the services are imported only when they are needed."""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chassis.app import Service

GATEWAY = "gateway"
PROVIDER = "provider"
AUDITOR = "auditor"
SERVICES = ("auth_service", "inventory_service", "order_service", "payment_service", "notification_service")


def chosen(service: str | None) -> tuple[str, ...]:
    """The one service that a person named, or all of them."""
    return SERVICES if service is None else (service,)


@cache
def load(name: str) -> "Service":
    """A service by its name.

    Raises:
        ModuleNotFoundError: when there is no such service.
    """
    service: Service = import_module(f"{name}.main").service
    return service
