"""What clients of order_service send and see."""

from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from chassis.http import Body, View
from chassis.ids import OrderRef, RefundRef, ShipmentRef, UserRef
from chassis.times import Timestamp
from contracts import types
from contracts.cards import CardToken
from contracts.countries import Country
from contracts.text import ONE_LINE
from contracts.types import (
    CancelReason,
    Currency,
    Money,
    OrderId,
    RefundReason,
    ShippedLine,
    Sku,
    UserId,
    order_number,
)
from order_service.domain import life, order, refunds
from order_service.domain.status import FulfilmentStatus, OrderStatus, PaymentStatus, RefundStatus

Text = Annotated[str, Field(min_length=1, max_length=200), ONE_LINE]


class MoneyGiven(Body):
    amount: Annotated[types.Amount, Field(strict=True)]
    currency: Currency

    @property
    def value(self) -> Money:
        return Money(amount=self.amount, currency=self.currency)


class LineCreate(Body):
    sku: Sku
    quantity: Annotated[types.Quantity, Field(strict=True)]


Pairs = dict[Annotated[str, Field(min_length=1, max_length=40)], Annotated[str, Field(max_length=500)]]
Lines = Annotated[list[LineCreate], Field(min_length=1, max_length=types.LINES)]


def numbered(lines: list[LineCreate]) -> tuple[types.OrderedLine, ...]:
    return tuple(types.OrderedLine(line_no=n, sku=line.sku, quantity=line.quantity) for n, line in enumerate(lines, 1))


class QuoteCreate(Body):
    lines: Lines


class AddressGiven(Body):
    name: Text
    line1: Text
    line2: Text | None = None
    city: Text
    region: Text | None = None
    postal_code: Annotated[str, Field(min_length=1, max_length=20), ONE_LINE]
    country: Country


class PaymentGiven(Body):
    token: CardToken


class OrderCreate(QuoteCreate):
    shipping_address: AddressGiven
    payment: PaymentGiven | None = None
    expected_total: MoneyGiven | None = None
    note: Annotated[str, Field(max_length=500)] | None = None
    metadata: Annotated[Pairs, Field(max_length=20, default_factory=dict)]

    def command(
        self, order_id: UUID, customer_id: UUID, pay_within: timedelta, settle_within: timedelta
    ) -> life.PlaceOrder:
        return life.PlaceOrder(
            order_id=OrderId(order_id),
            customer_id=UserId(customer_id),
            lines=numbered(self.lines),
            shipping_address=order.Address(**vars(self.shipping_address)),
            method=self.payment.token if self.payment else None,
            expected_total=self.expected_total.value if self.expected_total else None,
            note=self.note,
            metadata=self.metadata,
            pay_within=pay_within,
            settle_within=settle_within,
        )


class OrderCancel(Body):
    """Without a reason, whoever asks is it."""

    reason: Literal["customer", "operator"] | None = None


class RefundCreate(Body):
    """Without an amount, all that is left."""

    amount: MoneyGiven | None = None
    reason: Text

    def command(self, order_id: UUID) -> refunds.RefundOrder:
        given = self.amount.value if self.amount else None
        return refunds.RefundOrder(order_id=OrderId(order_id), amount=given, note=self.reason)


class OrderLine(View):
    line_no: int
    sku: Sku
    name: str
    quantity: int
    unit_price: Money
    total: Money

    @classmethod
    def of(cls, line: order.Line, currency: str) -> "OrderLine":
        return cls(
            line_no=line.line_no,
            sku=line.sku,
            name=line.name,
            quantity=line.quantity,
            unit_price=Money(amount=line.unit_price, currency=currency),
            total=Money(amount=line.total, currency=currency),
        )


class QuoteLine(OrderLine):
    """A line with what is available of its sku now; None when nobody could say."""

    available: int | None


class Quote(View):
    currency: Currency
    lines: list[QuoteLine]
    total: Money


class ShippingAddress(View):
    name: str
    line1: str
    line2: str | None
    city: str
    region: str | None
    postal_code: str
    country: str


class OrderShipment(View):
    id: ShipmentRef
    lines: list[ShippedLine]
    carrier: str | None
    tracking_number: str | None
    dispatched_at: Timestamp
    delivered_at: Timestamp | None


class OrderFailure(View):
    code: str
    message: str


class OrderRefund(View):
    id: RefundRef
    order_id: OrderRef
    amount: Money
    reason: RefundReason
    note: str | None
    status: RefundStatus
    requested_at: Timestamp

    @classmethod
    def newest(cls, thing: order.Order) -> "OrderRefund":
        return cls(
            id=(refund := thing.refunds[-1]).id,
            order_id=thing.id,
            amount=thing.money(refund.amount),
            reason=refund.reason,
            note=refund.note,
            status=refund.status,
            requested_at=refund.requested_at,
        )


class Order(View):
    id: OrderRef
    number: str
    status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    customer_id: UserRef
    currency: Currency
    lines: list[OrderLine]
    total: Money
    refunded_total: Money
    shipping_address: ShippingAddress
    shipments: list[OrderShipment]
    cancel_reason: CancelReason | None
    failure: OrderFailure | None
    attempt: int
    pay_by: Timestamp | None
    note: str | None
    metadata: dict[str, str]
    version: int
    trace_id: str | None
    created_at: Timestamp
    updated_at: Timestamp
    confirmed_at: Timestamp | None
    shipped_at: Timestamp | None
    cancelled_at: Timestamp | None

    @classmethod
    def of(cls, thing: order.Order) -> "Order":
        same = {name: getattr(thing, name) for name in cls.model_fields.keys() - {"number", "lines", "refunded_total"}}
        made = {
            "number": order_number(thing.id),
            "lines": [OrderLine.of(line, thing.currency) for line in thing.lines],
            "total": thing.money(thing.total),
            "refunded_total": thing.money(thing.refunded_total),
        }
        return cls.model_validate(same | made)


class OrderEvent(View, validate_by_name=True):
    """How an order came to one of its versions. ``from`` is None for the first."""

    version: int
    at: Timestamp
    actor: str
    cause: str
    from_status: Annotated[OrderStatus | None, Field(alias="from")]
    to_status: Annotated[OrderStatus, Field(alias="to")]
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
