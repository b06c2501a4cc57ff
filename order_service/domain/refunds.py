"""How money goes back: for goods that came back, out of goodwill, and what the provider says to it."""

from dataclasses import dataclass, replace
from datetime import datetime

from contracts.orders import RefundRequested
from contracts.payments import RefundFailed, RefundSucceeded
from contracts.stock import ReturnReceived
from contracts.types import Money, OrderId, RefundId, RefundReason
from order_service.domain.cancellation import settle_money
from order_service.domain.order import Order, Outcome, Refund
from order_service.domain.pricing import CurrencyMismatch
from order_service.domain.status import PAID, OrderStatus, RefundStatus

MOST = 100  # out of goodwill, of one order: they stand in it, and each change of it writes all of them


class RefundExceedsPaid(Exception):
    """More than what was paid cannot go back, and not in more than a hundred parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOrder:
    """``amount`` is None for all that is left; ``note`` is why, in the words of staff."""

    order_id: OrderId
    amount: Money | None
    note: str


def refund(order: Order, command: RefundOrder, refund_id: RefundId, now: datetime) -> Outcome:
    """Goodwill.

    Raises:
        CurrencyMismatch: when the amount is not in the order's currency.
        RefundExceedsPaid: when that much was not paid, or is back already or on its way; or after a hundred.
    """
    left = order.refundable if order.status in PAID else 0
    amount = left if command.amount is None else command.amount.amount
    if command.amount is not None and command.amount.currency != order.currency:
        raise CurrencyMismatch(["#/amount/currency"], order.currency)
    if sum(known.reason is RefundReason.GOODWILL for known in order.refunds) >= MOST:
        message = f"There are {MOST} refunds of this order already."
        raise RefundExceedsPaid(message)
    if not 0 < amount <= left:
        message = f"{left} {order.currency} can be refunded, in minor units."
        raise RefundExceedsPaid(message)
    asked = Refund(id=refund_id, amount=amount, reason=RefundReason.GOODWILL, note=command.note, requested_at=now)
    return _request(order, asked, now)


def refund_return(order: Order, fact: ReturnReceived, refund_id: RefundId, now: datetime) -> Outcome:
    """What the goods cost, as far as it is not refunded already; once for each return."""
    prices = {line.sku: line.unit_price for line in order.lines}
    worth = sum(line.quantity * prices.get(line.sku, 0) for line in fact.lines)
    amount = min(worth, order.refundable)
    if amount == 0 or any(known.return_id == fact.return_id for known in order.refunds):
        return order, ()
    asked = Refund(id=refund_id, amount=amount, reason=RefundReason.RETURN, return_id=fact.return_id, requested_at=now)
    return _request(order, asked, now)


def _request(order: Order, asked: Refund, now: datetime) -> Outcome:
    event = RefundRequested(
        order_id=order.id, refund_id=asked.id, reason=asked.reason, amount=order.money(asked.amount)
    )
    return order.changed(now, refunds=(*order.refunds, asked)), (event,)


def keep_refund(order: Order, fact: RefundSucceeded | RefundFailed, now: datetime) -> Outcome:
    """The order with the provider's answer. A refund that went through stays so, whatever comes late."""
    known = next((refund for refund in order.refunds if refund.id == fact.refund_id), None)
    status = RefundStatus.SUCCEEDED if isinstance(fact, RefundSucceeded) else RefundStatus.FAILED
    if known is None or known.status in {RefundStatus.SUCCEEDED, status}:
        return order, ()
    answered = replace(known, status=status)
    after = replace(order, refunds=tuple(answered if refund is known else refund for refund in order.refunds))
    if status is RefundStatus.FAILED:
        return after.changed(now), ()
    after = replace(after, refunded_total=max(order.refunded_total, _returned(after)))
    ends = order.status is OrderStatus.CANCELLING and not order.money_settled
    return settle_money(after, now) if ends and after.refunded_total == order.total else (after.changed(now), ())


def _returned(order: Order) -> int:
    done = [refund for refund in order.refunds if refund.status is RefundStatus.SUCCEEDED]
    whole = any(refund.reason is RefundReason.CANCELLED for refund in done)
    return order.total if whole else min(sum(refund.amount for refund in done), order.total)
