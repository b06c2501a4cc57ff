"""Builders of notifications, of readers, and of the facts that become mails."""

from datetime import UTC, datetime
from uuid import UUID

from chassis.decisions import Cause
from contracts.event import Event
from contracts.orders import OrderCancelled, OrderConfirmed, OrderRejected
from contracts.payments import PaymentFailed, PaymentUnresolved, RefundFailed, RefundSucceeded
from contracts.stock import ShipmentDelivered, ShipmentDispatched, StockLow
from contracts.types import (
    CancelReason,
    Money,
    OrderId,
    PaymentId,
    PricedLine,
    Priority,
    RefundId,
    RejectReason,
    ShipmentId,
    ShippedLine,
    Shortage,
    UserId,
)
from notification_service.domain.mails import Template
from notification_service.domain.notification import Notification, Status
from notification_service.domain.reader import Reader

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CUSTOMER = UserId(UUID("01938000-0000-7000-8000-00000000000c"))
ORDER = OrderId(UUID("01938000-0000-7000-8000-00000000000a"))
EVENT = UUID("01938000-0000-7000-8000-00000000000e")
NOTIFICATION = UUID("01938000-0000-7000-8000-0000000000ff")


def a_cause(**given) -> Cause:
    return Cause(**{"id": EVENT, "now": NOW, "actor": "order_service", "correlation_id": "req_1"} | given)


def a_reader(**given) -> Reader:
    return Reader(**{"user_id": CUSTOMER, "locale": "en"} | given)


def a_notification(**given) -> Notification:
    facts = {
        "id": NOTIFICATION,
        "event_id": EVENT,
        "template": Template.ORDER_CONFIRMED,
        "recipient": str(CUSTOMER),
        "user_id": CUSTOMER,
        "order_id": ORDER,
        "data": order_confirmed().model_dump(mode="json", exclude={"customer_id"}),
        "status": Status.QUEUED,
        "created_at": NOW,
        "queued_at": NOW,
        "due_at": NOW,
    }
    return Notification(**facts | given)


def euro(amount: int) -> Money:
    return Money(amount=amount, currency="EUR")


def order_confirmed(**given) -> OrderConfirmed:
    line = PricedLine(line_no=1, sku="MUG-RED", name="Red mug <large>", quantity=2, unit_price=euro(1299))
    facts = {"order_id": ORDER, "customer_id": CUSTOMER, "lines": (line,), "total": euro(2598)}
    return OrderConfirmed(**{**facts, "priority": Priority.MEDIUM} | given)


def order_rejected(**given) -> OrderRejected:
    missing = (Shortage(sku="MUG-RED", requested=2, available=1),)
    facts = {"order_id": ORDER, "customer_id": CUSTOMER, "missing": missing}
    return OrderRejected(**{**facts, "reason": RejectReason.INSUFFICIENT_STOCK} | given)


def order_cancelled(**given) -> OrderCancelled:
    facts = {"order_id": ORDER, "customer_id": CUSTOMER, "reason": CancelReason.CUSTOMER, "refunded": euro(0)}
    return OrderCancelled(**facts | given)


def payment_failed(**given) -> PaymentFailed:
    facts = {"order_id": ORDER, "customer_id": CUSTOMER, "attempt": 1, "code": "card_declined", "retryable": True}
    return PaymentFailed(**{**facts, "message": "The card was declined."} | given)


def shipment_dispatched(**given) -> ShipmentDispatched:
    lines = (ShippedLine(sku="MUG-RED", quantity=2),)
    facts = {"order_id": ORDER, "customer_id": CUSTOMER, "shipment_id": ShipmentId(EVENT), "lines": lines}
    return ShipmentDispatched(**{**facts, "carrier": "DHL", "tracking": "JD01"} | given)


def shipment_delivered(**given) -> ShipmentDelivered:
    return ShipmentDelivered(**shipment_dispatched(**given).model_dump())


def refund_succeeded(**given) -> RefundSucceeded:
    facts = {"order_id": ORDER, "customer_id": CUSTOMER, "refund_id": RefundId(EVENT), "amount": euro(1299)}
    return RefundSucceeded(**facts | given)


def stock_low(**given) -> StockLow:
    return StockLow(**{"sku": "MUG-RED", "warehouse": "main", "available": 3, "threshold": 5} | given)


def refund_failed(**given) -> RefundFailed:
    facts = {"order_id": ORDER, "refund_id": RefundId(EVENT), "amount": euro(1299), "code": "account_closed"}
    return RefundFailed(**facts | given)


def payment_unresolved(**given) -> PaymentUnresolved:
    return PaymentUnresolved(**{"order_id": ORDER, "payment_id": PaymentId(EVENT), "cause": "unknown"} | given)


def mails_to_customers() -> tuple[Event, ...]:
    return (
        order_confirmed(),
        order_rejected(),
        order_cancelled(),
        payment_failed(),
        shipment_dispatched(),
        shipment_delivered(),
        refund_succeeded(),
    )


def mails_to_staff() -> tuple[Event, ...]:
    return stock_low(), refund_failed(), payment_unresolved()
