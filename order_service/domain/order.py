"""What an order is: its lines, its shipments, its refunds, how far it has come, and what follows from that."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from contracts.event import Event
from contracts.types import (
    CancelPhase,
    CancelReason,
    Money,
    OrderId,
    RefundId,
    RefundReason,
    ReturnId,
    ShipmentId,
    ShippedLine,
    UserId,
    with_changes,
)
from order_service.domain.status import (
    TERMINAL,
    AdjustmentKind,
    FulfilmentStatus,
    OrderStatus,
    PaymentStatus,
    RefundStatus,
)

MAX_ATTEMPTS = 3


class OrderNotFound(Exception):
    """There is no such order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    line_no: int
    sku: str
    name: str
    quantity: int
    unit_price: int

    @property
    def total(self) -> int:
        return self.quantity * self.unit_price


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    kind: AdjustmentKind
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    name: str
    line1: str
    line2: str | None = None
    city: str
    region: str | None = None
    postal_code: str
    country: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    id: ShipmentId
    lines: tuple[ShippedLine, ...]
    carrier: str | None
    tracking_number: str | None
    dispatched_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    id: RefundId
    amount: int
    reason: RefundReason
    status: RefundStatus = RefundStatus.REQUESTED
    return_id: ReturnId | None = None
    note: str | None = None
    requested_at: datetime


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order at one version. ``pay_within`` is the time to pay that it was placed under; amounts are minor units.

    It has no slots, so that its next version is made of its fields as a whole, nine times faster than one by one.
    """

    id: OrderId
    customer_id: UserId
    status: OrderStatus = OrderStatus.PENDING
    currency: str
    lines: tuple[Line, ...]
    adjustments: tuple[Adjustment, ...] = ()
    shipping_address: Address
    method: str | None = None
    note: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    trace_id: str | None = None
    attempt: int = 0
    last_failed_attempt: int = 0
    failure: Failure | None = None
    cancel_phase: CancelPhase | None = None
    cancel_reason: CancelReason | None = None
    cancel_no: int = 0
    stock_settled: bool = False
    money_settled: bool = False
    shipments: tuple[Shipment, ...] = ()
    refunds: tuple[Refund, ...] = ()
    refunded_total: int = 0
    pay_within: timedelta
    pay_by: datetime | None = None
    settle_by: datetime
    version: int = 1
    created_at: datetime
    updated_at: datetime
    confirmed_at: datetime | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    cancelled_at: datetime | None = None

    @property
    def key(self) -> OrderId:
        return self.id

    @property
    def lines_total(self) -> int:
        return sum(line.total for line in self.lines)

    @property
    def adjustments_total(self) -> int:
        return sum(adjustment.amount for adjustment in self.adjustments)

    @property
    def total(self) -> int:
        return self.lines_total + self.adjustments_total

    def money(self, amount: int) -> Money:
        return Money(amount=amount, currency=self.currency)

    def changed(self, now: datetime, **changes: Any) -> "Order":
        """The next version."""
        return with_changes(self, version=self.version + 1, updated_at=now, **changes)

    @property
    def has_failed(self) -> bool:
        """Whether the latest attempt to pay was declined."""
        return 0 < self.attempt == self.last_failed_attempt

    @property
    def waits_for_customer(self) -> bool:
        """Whether only the customer can bring it on: the last attempt was declined, or no method was given."""
        return self.status is OrderStatus.AWAITING_PAYMENT and (self.has_failed or self.method is None)

    @property
    def is_in_the_works(self) -> bool:
        """Whether the shop will decide about it by itself, within moments."""
        return self.status in {OrderStatus.PENDING, OrderStatus.AWAITING_PAYMENT} and not self.waits_for_customer

    @property
    def may_go_on(self) -> bool:
        """Whether the warehouse can still refuse to cancel it: it was confirmed before, and its stock is not back."""
        cancelling = self.status is OrderStatus.CANCELLING and self.cancel_phase is CancelPhase.POST
        return cancelling and not self.stock_settled

    @property
    def refundable(self) -> int:
        """What was paid, less what is back or on its way back."""
        return self.total - sum(refund.amount for refund in self.refunds if refund.status is not RefundStatus.FAILED)

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def due_at(self) -> datetime | None:
        """When it is cancelled for taking too long: ``pay_by`` ends only what waits for the customer."""
        if self.status not in {OrderStatus.PENDING, OrderStatus.AWAITING_PAYMENT}:
            return None
        if self.pay_by is not None and self.waits_for_customer:
            return min(self.pay_by, self.settle_by)
        return self.settle_by

    @property
    def payment_status(self) -> PaymentStatus:
        paid = self.confirmed_at is not None
        match self.status:
            case OrderStatus.REJECTED:
                return PaymentStatus.CANCELLED
            case OrderStatus.CANCELLING | OrderStatus.CANCELLED if self.money_settled:
                return PaymentStatus.REFUNDED if paid or self.refunded_total else PaymentStatus.CANCELLED
            case _ if paid and self.refunded_total == 0:
                return PaymentStatus.PAID
            case _ if paid:
                full = self.refunded_total == self.total
                return PaymentStatus.REFUNDED if full else PaymentStatus.PARTIALLY_REFUNDED
            case _:
                return PaymentStatus.FAILED if self.has_failed else PaymentStatus.PENDING

    @property
    def fulfilment_status(self) -> FulfilmentStatus:
        if not self.shipments:
            return FulfilmentStatus.UNFULFILLED
        left = Counter[str]()
        for line in self.lines:
            left[line.sku] += line.quantity
        for shipment in self.shipments:
            left.subtract({line.sku: line.quantity for line in shipment.lines})
        if any(quantity > 0 for quantity in left.values()):
            return FulfilmentStatus.PARTIALLY_SHIPPED
        if any(shipment.delivered_at is None for shipment in self.shipments):
            return FulfilmentStatus.SHIPPED
        return FulfilmentStatus.DELIVERED


Outcome = tuple[Order, tuple[Event, ...]]
