"""The life of an order: which fact moves it from where to where (docs/states.md draws it). One match on one screen."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from contracts.orders import OrderConfirmed, OrderCreated, OrderRejected, PaymentRequested
from contracts.payments import PaymentCancelled, PaymentFailed, PaymentSucceeded, RefundFailed, RefundSucceeded
from contracts.stock import (
    CancellationRefused,
    ReturnReceived,
    ShipmentDelivered,
    ShipmentDispatched,
    StockRejected,
    StockReleased,
    StockReserved,
)
from contracts.types import (
    CancelPhase,
    CancelReason,
    Money,
    OrderedLine,
    OrderId,
    PricedLine,
    Priority,
    RefundId,
    UserId,
)
from order_service.domain import cancellation, fulfilment, refunds
from order_service.domain.order import MAX_ATTEMPTS, Address, Failure, Order, Outcome
from order_service.domain.pricing import Priced
from order_service.domain.status import PAID
from order_service.domain.status import OrderStatus as Is

Fact = (
    StockReserved | StockRejected | StockReleased | CancellationRefused
    | PaymentSucceeded | PaymentFailed | PaymentCancelled | RefundSucceeded | RefundFailed
    | ShipmentDispatched | ShipmentDelivered | ReturnReceived
)  # fmt: skip

ERASED = "erased"


class OrderNotPayable(Exception):
    """The order does not wait for another payment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    """An order as the customer asks for it; the terms are the shop's of that moment."""

    order_id: OrderId
    customer_id: UserId
    lines: tuple[OrderedLine, ...]
    shipping_address: Address
    method: str | None = None
    expected_total: Money | None = None
    note: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    pay_within: timedelta
    settle_within: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class PayOrder:
    """``owner`` is whose order it has to be; None for staff."""

    order_id: OrderId
    owner: UserId | None
    method: str


def place(command: PlaceOrder, priced: Priced, now: datetime, trace_id: str | None = None) -> Outcome:
    order = Order(
        id=command.order_id,
        customer_id=command.customer_id,
        currency=priced.currency,
        lines=priced.lines,
        shipping_address=command.shipping_address,
        method=command.method,
        note=command.note,
        metadata=command.metadata,
        trace_id=trace_id,
        pay_within=command.pay_within,
        settle_by=now + command.settle_within,
        created_at=now,
        updated_at=now,
    )
    return order, (OrderCreated(order_id=order.id, customer_id=order.customer_id, lines=command.lines),)


def advance(order: Order, fact: Fact, refund_id: RefundId, now: datetime) -> Outcome:  # noqa: C901, PLR0911 -- the table
    """What a fact makes of an order. A fact that is late, repeated or out of order leaves it as it is."""
    match order.status, fact:
        case Is.PENDING, StockReserved():
            return await_payment(order, now)
        case Is.PENDING, StockRejected() as rejected:
            return reject(order, rejected, now)
        case Is.AWAITING_PAYMENT, PaymentSucceeded():
            return confirm(order, now)
        case Is.AWAITING_PAYMENT, PaymentFailed(attempt=order.attempt) as failed if not order.has_failed:
            return decline(order, failed, now)
        case Is.CANCELLING, StockReleased() if not order.stock_settled:
            return cancellation.release_stock(order, refund_id, now)
        case Is.CANCELLING, StockRejected() if not order.stock_settled:
            return cancellation.settle_stock(order, now)
        case Is.CANCELLING, PaymentCancelled() as returned if not order.money_settled:
            return cancellation.return_money(order, returned, now)
        case Is.CANCELLING, CancellationRefused(cancel_no=order.cancel_no) if order.cancel_phase is CancelPhase.POST:
            return fulfilment.go_on(order, now)
        case status, ShipmentDispatched() | ShipmentDelivered() as shipment if status in PAID | {Is.CANCELLING}:
            return fulfilment.keep_shipment(order, shipment, now)
        case status, RefundSucceeded() | RefundFailed() as answer if status in PAID | {Is.CANCELLING}:
            return refunds.keep_refund(order, answer, now)
        case status, ReturnReceived() as goods if status in PAID or order.may_go_on:
            return refunds.refund_return(order, goods, refund_id, now)
        case _:
            return order, ()


def await_payment(order: Order, now: datetime) -> Outcome:
    after = order.changed(now, status=Is.AWAITING_PAYMENT, attempt=1, pay_by=now + order.pay_within)
    return after, (_payment(after),)


def reject(order: Order, fact: StockRejected, now: datetime) -> Outcome:
    missing = " ".join(f"{short.sku}: {short.requested} asked, {short.available} available." for short in fact.missing)
    failure = Failure(code=fact.reason, message=missing or "The order cannot be served.")
    event = OrderRejected(order_id=order.id, customer_id=order.customer_id, reason=fact.reason, missing=fact.missing)
    return order.changed(now, status=Is.REJECTED, failure=failure), (event,)


def confirm(order: Order, now: datetime) -> Outcome:
    lines = tuple(
        PricedLine(
            line_no=line.line_no,
            sku=line.sku,
            name=line.name,
            quantity=line.quantity,
            unit_price=order.money(line.unit_price),
        )
        for line in order.lines
    )
    event = OrderConfirmed(
        order_id=order.id,
        customer_id=order.customer_id,
        lines=lines,
        total=order.money(order.total),
        priority=Priority.MEDIUM,
    )
    return order.changed(now, status=Is.CONFIRMED, confirmed_at=now, failure=None), (event,)


def decline(order: Order, fact: PaymentFailed, now: datetime) -> Outcome:
    """The customer may try again, with the whole time to pay from here; the last decline ends the order."""
    failed = replace(order, last_failed_attempt=order.attempt, failure=Failure(code=fact.code, message=fact.message))
    if order.attempt < MAX_ATTEMPTS:
        return failed.changed(now, pay_by=now + order.pay_within), ()
    return cancellation.begin(failed, CancelPhase.PRE, CancelReason.PAYMENT_FAILED, now)


def pay(order: Order, method: str, now: datetime) -> Outcome:
    """Another attempt, after a decline.

    Raises:
        OrderNotPayable: when no attempt was declined, or one is still under way.
    """
    if order.status is not Is.AWAITING_PAYMENT or not order.has_failed:
        message = f"The order is {order.status}, its payment {order.payment_status}."
        raise OrderNotPayable(message)
    after = order.changed(now, attempt=order.attempt + 1, method=method, failure=None)
    return after, (_payment(after),)


def _payment(order: Order) -> PaymentRequested:
    return PaymentRequested(
        order_id=order.id,
        customer_id=order.customer_id,
        attempt=order.attempt,
        amount=order.money(order.total),
        method=order.method,
    )


def erased_address(country: str) -> Address:
    """What is left of an address: the country, which taxes and statistics go by."""
    return Address(name=ERASED, line1=ERASED, city=ERASED, postal_code=ERASED, country=country)


def erase(order: Order, now: datetime) -> Outcome:
    """The order without what says who the customer is: postal address, note and the client's own pairs."""
    address = erased_address(order.shipping_address.country)
    if order.shipping_address == address and order.note is None and not order.metadata:
        return order, ()
    return order.changed(now, shipping_address=address, note=None, metadata={}), ()
