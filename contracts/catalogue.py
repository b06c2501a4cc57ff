"""Who tells what: every event that exists, by topic, and the service that owns each first word."""

from contracts import accounts, notifications, orders, payments, stock
from contracts.event import Event

MODULES = (orders, stock, payments, accounts, notifications)

TELLERS = {
    "order": "order_service",
    "stock": "inventory_service",
    "product": "inventory_service",
    "shipment": "inventory_service",
    "return": "inventory_service",
    "payment": "payment_service",
    "refund": "payment_service",
    "user": "auth_service",
    "notification": "notification_service",
}

EVENTS: dict[str, type[Event]] = {
    topic: event for topic, event in Event.registry.items() if event.__module__ in {m.__name__ for m in MODULES}
}

# Told for webhooks and operators only. All others are published mandatory: unroutable is an error then.
UNHEARD = frozenset({"order.shipped", "order.delivered", "stock.replenished", "notification.dead"})


def teller(topic: str) -> str:
    """The one service that tells this topic.

    Raises:
        KeyError: when no service owns the topic's first word.
    """
    return TELLERS[topic.partition(".")[0]]
