"""Which event becomes which mail, to whom, and for how long it is worth sending."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from contracts.event import Event
from contracts.orders import OrderCancelled, OrderConfirmed, OrderRejected
from contracts.payments import PaymentFailed, PaymentUnresolved, RefundFailed, RefundSucceeded
from contracts.stock import ShipmentDelivered, ShipmentDispatched, StockLow

ToCustomer = (
    OrderConfirmed
    | OrderRejected
    | OrderCancelled
    | PaymentFailed
    | ShipmentDispatched
    | ShipmentDelivered
    | RefundSucceeded
)
ToStaff = StockLow | RefundFailed | PaymentUnresolved

STAFF = "staff"


class Template(StrEnum):
    ORDER_CONFIRMED = "order_confirmed"
    ORDER_REJECTED = "order_rejected"
    ORDER_CANCELLED = "order_cancelled"
    PAYMENT_FAILED = "payment_failed"
    SHIPMENT_DISPATCHED = "shipment_dispatched"
    SHIPMENT_DELIVERED = "shipment_delivered"
    REFUND_SUCCEEDED = "refund_succeeded"
    STOCK_LOW = "stock_low"
    REFUND_FAILED = "refund_failed"
    PAYMENT_UNRESOLVED = "payment_unresolved"


TEMPLATES: Mapping[type[Event], Template] = {
    OrderConfirmed: Template.ORDER_CONFIRMED,
    OrderRejected: Template.ORDER_REJECTED,
    OrderCancelled: Template.ORDER_CANCELLED,
    PaymentFailed: Template.PAYMENT_FAILED,
    ShipmentDispatched: Template.SHIPMENT_DISPATCHED,
    ShipmentDelivered: Template.SHIPMENT_DELIVERED,
    RefundSucceeded: Template.REFUND_SUCCEEDED,
    StockLow: Template.STOCK_LOW,
    RefundFailed: Template.REFUND_FAILED,
    PaymentUnresolved: Template.PAYMENT_UNRESOLVED,
}

# Whoever may pay again learns it while it still helps; staff mails go stale within a day.
MAX_AGES: Mapping[Template, timedelta] = {
    **dict.fromkeys(Template, timedelta(days=3)),
    Template.PAYMENT_FAILED: timedelta(minutes=30),
    **dict.fromkeys((Template.STOCK_LOW, Template.REFUND_FAILED, Template.PAYMENT_UNRESOLVED), timedelta(days=1)),
}


def template_of(fact: ToCustomer | ToStaff) -> Template:
    return TEMPLATES[type(fact)]


def recipient_of(fact: ToCustomer | ToStaff) -> str:
    return STAFF if isinstance(fact, ToStaff) else str(fact.customer_id)
