"""How an order ends early: whoever holds stock or money for it gives it back, and only then it is cancelled."""

from dataclasses import dataclass, replace
from datetime import datetime

from contracts.orders import OrderCancellationRequested, OrderCancelled, RefundRequested
from contracts.payments import PaymentCancelled
from contracts.types import CancelPhase, CancelReason, OrderId, RefundId, RefundReason, UserId
from order_service.domain.order import Order, Outcome, Refund
from order_service.domain.status import OrderStatus, RefundStatus


class OrderNotCancellable(Exception):
    """The order cannot be cancelled any more."""


class NotForTheShop(Exception):
    """Only staff cancel as operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """``owner`` is whose order it has to be; None for staff, who may cancel anybody's."""

    order_id: OrderId
    owner: UserId | None
    reason: CancelReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Expire:
    order_id: OrderId


def reason_of(given: str | None, *, is_staff: bool) -> CancelReason:
    """Who asks is the reason, unless staff act on the customer's wish."""
    own = CancelReason.OPERATOR if is_staff else CancelReason.CUSTOMER
    if given not in {None, own, CancelReason.CUSTOMER}:
        raise NotForTheShop
    return CancelReason(given or own)


def cancel(order: Order, reason: CancelReason, now: datetime) -> Outcome:
    match order.status:
        case OrderStatus.PENDING | OrderStatus.AWAITING_PAYMENT:
            return begin(order, CancelPhase.PRE, reason, now)
        case OrderStatus.CONFIRMED:
            return begin(order, CancelPhase.POST, reason, now)
        case OrderStatus.CANCELLING | OrderStatus.CANCELLED:
            return order, ()
        case _:
            message = f"The order is {order.status}."
            raise OrderNotCancellable(message)


def expire(order: Order, now: datetime) -> Outcome:
    if order.due_at is None or now < order.due_at:
        return order, ()
    return begin(order, CancelPhase.PRE, CancelReason.DEADLINE, now)


def begin(order: Order, phase: CancelPhase, reason: CancelReason, now: datetime) -> Outcome:
    after = order.changed(
        now,
        status=OrderStatus.CANCELLING,
        cancel_phase=phase,
        cancel_reason=reason,
        cancel_no=order.cancel_no + 1,
        stock_settled=False,
        money_settled=False,
    )
    event = OrderCancellationRequested(order_id=order.id, phase=phase, reason=reason, cancel_no=after.cancel_no)
    return after, (event,)


def release_stock(order: Order, refund_id: RefundId, now: datetime) -> Outcome:
    """The warehouse agrees. Only now the money of a confirmed order may go back."""
    if order.cancel_phase is CancelPhase.PRE:
        return settle_stock(order, now)
    refund = Refund(id=refund_id, amount=order.refundable, reason=RefundReason.CANCELLED, requested_at=now)
    after, events = settle_stock(replace(order, refunds=(*order.refunds, refund)), now)
    request = RefundRequested(order_id=order.id, refund_id=refund_id, reason=RefundReason.CANCELLED)
    return after, (request, *events)


def settle_stock(order: Order, now: datetime) -> Outcome:
    return _end_when_settled(order.changed(now, stock_settled=True), now)


def settle_money(order: Order, now: datetime) -> Outcome:
    return _end_when_settled(order.changed(now, money_settled=True), now)


def return_money(order: Order, fact: PaymentCancelled, now: datetime) -> Outcome:
    """The customer holds no charge: of a confirmed order everything is back, of another what was taken meanwhile."""
    returned = fact.returned.amount if fact.returned else 0
    refunded = order.total if order.cancel_phase is CancelPhase.POST else min(returned, order.total)
    refunds = tuple(
        replace(refund, status=RefundStatus.SUCCEEDED) if refund.reason is RefundReason.CANCELLED else refund
        for refund in order.refunds
    )
    return settle_money(replace(order, refunded_total=refunded, refunds=refunds), now)


def _end_when_settled(order: Order, now: datetime) -> Outcome:
    if order.cancel_reason is None or not (order.stock_settled and order.money_settled):
        return order, ()
    event = OrderCancelled(
        order_id=order.id,
        customer_id=order.customer_id,
        reason=order.cancel_reason,
        refunded=order.money(order.refunded_total),
    )
    return replace(order, status=OrderStatus.CANCELLED, cancelled_at=now), (event,)
