"""Events told by order_service."""

from typing import ClassVar

from contracts.cards import CardToken
from contracts.event import Event
from contracts.types import (
    CancelPhase,
    CancelReason,
    Count,
    Lines,
    Money,
    OrderedLine,
    OrderId,
    Parts,
    PricedLine,
    Priority,
    RefundId,
    RefundReason,
    RejectReason,
    ShipmentId,
    Shortage,
    UserId,
)


class AboutOrder(Event):
    """An event whose subject is an order. Payments, shipments and reservations have no other subject."""

    order_id: OrderId

    @property
    def subject(self) -> str:
        """The order's id."""
        return str(self.order_id)


class OrderCreated(AboutOrder):
    """A customer placed an order. Nothing is held and nothing is charged yet."""

    topic: ClassVar[str] = "order.created"

    customer_id: UserId
    lines: Lines[OrderedLine]


class OrderRejected(AboutOrder):
    """The order cannot be served: stock is missing. Nothing was charged."""

    topic: ClassVar[str] = "order.rejected"

    customer_id: UserId
    reason: RejectReason
    missing: Lines[Shortage]


class PaymentRequested(AboutOrder):
    """Stock is held for the order, so the customer may be charged; once for each attempt."""

    topic: ClassVar[str] = "order.payment_requested"

    customer_id: UserId
    attempt: Count
    amount: Money
    method: CardToken | None = None


class OrderConfirmed(AboutOrder):
    """The money is secured and the stock is held."""

    topic: ClassVar[str] = "order.confirmed"

    customer_id: UserId
    lines: Lines[PricedLine]
    total: Money
    priority: Priority


class OrderCancellationRequested(AboutOrder):
    """The order is to end: whoever holds stock or money for it gives it back."""

    topic: ClassVar[str] = "order.cancellation_requested"

    phase: CancelPhase
    reason: CancelReason
    cancel_no: Count


class RefundRequested(AboutOrder):
    """Money is to go back: ``amount`` of it, or all that is left when it is None."""

    topic: ClassVar[str] = "order.refund_requested"

    refund_id: RefundId
    reason: RefundReason
    amount: Money | None = None


class OrderCancelled(AboutOrder):
    """The order has ended: the stock is back and the customer holds no charge."""

    topic: ClassVar[str] = "order.cancelled"

    customer_id: UserId
    reason: CancelReason
    refunded: Money


class OrderShipped(AboutOrder):
    """The last line of the order has left the warehouse."""

    topic: ClassVar[str] = "order.shipped"

    shipments: Parts[ShipmentId]


class OrderDelivered(AboutOrder):
    """The last shipment of the order has reached the customer."""

    topic: ClassVar[str] = "order.delivered"

    shipments: Parts[ShipmentId]
