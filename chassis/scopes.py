"""What an API key may do: a route asks for the scope of its noun, to read or to write. A route without one is no key's.

A noun is the last known word of the route's path: POST ``/orders/{order_id}/refunds`` asks for ``payments:write``.
"""

from enum import StrEnum
from functools import cache


class Scope(StrEnum):
    """What a key may be given."""

    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    PAYMENTS_READ = "payments:read"
    PAYMENTS_WRITE = "payments:write"
    PRODUCTS_READ = "products:read"
    PRODUCTS_WRITE = "products:write"
    STOCK_READ = "stock:read"
    STOCK_WRITE = "stock:write"
    TASKS_READ = "tasks:read"
    TASKS_WRITE = "tasks:write"
    NOTIFICATIONS_READ = "notifications:read"
    NOTIFICATIONS_WRITE = "notifications:write"


_NOUNS = {
    "orders": "orders",
    "payments": "payments",
    "refunds": "payments",
    "products": "products",
    "stock": "stock",
    "reservations": "stock",
    "tasks": "tasks",
    "shipments": "tasks",
    "returns": "tasks",
    "notifications": "notifications",
    "notification-preferences": "notifications",
    "webhook-endpoints": "notifications",
    "webhook-deliveries": "notifications",
}
_READING = {"GET", "HEAD"}


@cache
def needed(path: str, method: str) -> Scope | None:
    """The scope that a route asks of a key, by the path that it was registered with; None when no key may use it."""
    noun = next((_NOUNS[word] for word in reversed(path.split("/")) if word in _NOUNS), None)
    return Scope(f"{noun}:{'read' if method in _READING else 'write'}") if noun else None
