"""Giving back: cancellations, reversals of what is left, and refunds of a part."""

from dataclasses import replace

from contracts.event import Event
from contracts.orders import OrderCancellationRequested, RefundRequested
from contracts.payments import PaymentCancelled, PaymentUnresolved, RefundFailed, RefundSucceeded
from contracts.types import CancelPhase, Money, PaymentId, RefundId, RefundReason, ReturnKind
from payment_service.domain.payment import (
    Answer,
    Call,
    Outcome,
    Payment,
    PaymentStatus,
    Refund,
    RefundStatus,
    Step,
    Told,
)


def cancel(
    payment: Payment | None, fact: OrderCancellationRequested, step: Step
) -> tuple[Payment | None, tuple[Event, ...]]:
    """The order ends before it was confirmed. After that only ``RefundRequested`` moves money back."""
    if fact.phase is CancelPhase.POST:
        return payment, ()
    if payment is None:
        tombstone = _tombstone(fact, step)
        return tombstone, (_cancelled(tombstone),)
    return _cancel(payment, step)


def _cancel(payment: Payment, step: Step) -> Told:
    match payment.status:
        case PaymentStatus.FAILED | PaymentStatus.REQUIRES_METHOD:
            return payment.moved(step.now, status=PaymentStatus.CANCELLED), (_cancelled(payment),)
        case PaymentStatus.PROCESSING | PaymentStatus.UNKNOWN if not payment.cancel_flagged:
            return payment.moved(step.now, cancel_flagged=True), ()
        case PaymentStatus.CAPTURED:
            return reverse(payment, RefundId(step.id), RefundReason.CANCELLED, step)
        case PaymentStatus.CANCELLED | PaymentStatus.REVERSED:
            return payment, (_cancelled(payment),)
    return payment, ()


def _tombstone(fact: OrderCancellationRequested, step: Step) -> Payment:
    return Payment(
        order_id=fact.order_id,
        id=PaymentId(step.id),
        status=PaymentStatus.CANCELLED,
        created_at=step.now,
        updated_at=step.now,
    )


def refund(payment: Payment | None, fact: RefundRequested, step: Step) -> tuple[Payment | None, tuple[Event, ...]]:
    """The order gives back a part, or all that is left when no amount is named."""
    match payment:
        case Payment(status=PaymentStatus.CAPTURED) if fact.amount is None:
            return reverse(payment, fact.refund_id, fact.reason, step)
        case Payment(status=PaymentStatus.CAPTURED) if fact.amount and _is_new(payment, fact):
            return _part(payment, fact, fact.amount, step)
        case Payment(status=PaymentStatus.CANCELLED | PaymentStatus.REVERSED) if fact.amount is None:
            return payment, (_cancelled(payment),)
    return payment, ()


def _is_new(payment: Payment, fact: RefundRequested) -> bool:
    return all(known.id != fact.refund_id for known in payment.refunds)


def _part(payment: Payment, fact: RefundRequested, money: Money, step: Step) -> Told:
    asked = _asked(fact.refund_id, money.amount, fact.reason, step)
    if money.currency != payment.billed.currency:
        return _impossible(payment, asked, "currency_mismatch", step)
    if not 0 < money.amount <= payment.rest:
        return _impossible(payment, asked, "refund_exceeds_paid", step)
    reserved = payment.refund_reserved + money.amount
    return payment.moved(step.now, refund_reserved=reserved, refunds=(*payment.refunds, asked)), ()


def _impossible(payment: Payment, asked: Refund, code: str, step: Step) -> Told:
    call = asked.call.settled(Answer(outcome=Outcome.DENIED, code=code), step.now)
    failed = replace(asked, status=RefundStatus.FAILED, call=call)
    return payment.moved(step.now, refunds=(*payment.refunds, failed)), (_refused(payment, failed),)


def _asked(refund_id: RefundId, amount: int, reason: RefundReason, step: Step) -> Refund:
    return Refund(id=refund_id, amount=amount, reason=reason, call=Call.under(f"ref:{refund_id}", step))


def reverse(payment: Payment, reversal_id: RefundId, reason: RefundReason, step: Step) -> Told:
    """Everything goes back: at once what is left, or when the refunds that are open are settled."""
    reversing = payment.moved(step.now, status=PaymentStatus.REVERSING, reversal_id=reversal_id, reversal_reason=reason)
    return _reverse_rest(reversing, reversal_id, step)


def _reverse_rest(payment: Payment, reversal_id: RefundId, step: Step) -> Told:
    if any(refund.is_open for refund in payment.refunds):
        return payment, ()
    if payment.rest == 0:
        reversed_ = replace(payment, status=PaymentStatus.REVERSED)
        return reversed_, (_cancelled(reversed_),)
    asked = replace(_asked(reversal_id, payment.rest, payment.reversal_reason, step), reverses=True)
    return replace(payment, refund_reserved=payment.rest, refunds=(*payment.refunds, asked)), ()


def learn(payment: Payment, asked: Refund, answer: Answer, step: Step) -> Told:
    """The provider answered a refund. What is already settled stays as it is."""
    if not asked.is_open:
        return payment, ()
    match answer.outcome:
        case Outcome.UNKNOWN:
            return _doubted(payment, asked, answer, step)
        case Outcome.DONE:
            status, returned = RefundStatus.SUCCEEDED, payment.refunded + asked.amount
        case _:
            status, returned = RefundStatus.FAILED, payment.refunded
    settled = replace(asked, status=status, call=asked.call.settled(answer, step.now))
    reserved = payment.refund_reserved - asked.amount
    after = payment.moved(step.now, refunded=returned, refund_reserved=reserved, refunds=_with(payment, settled))
    return _reversal_settled(after, settled) if asked.reverses else _part_settled(after, settled, step)


def _doubted(payment: Payment, asked: Refund, answer: Answer, step: Step) -> Told:
    call = asked.call.postponed(answer, step.now)
    doubted = replace(asked, status=RefundStatus.UNKNOWN, call=call)
    told = call.unresolved_at != asked.call.unresolved_at
    unresolved = PaymentUnresolved(order_id=payment.order_id, payment_id=payment.id, cause="refund_unknown")
    return payment.moved(step.now, refunds=_with(payment, doubted)), (unresolved,) if told else ()


def _reversal_settled(payment: Payment, settled: Refund) -> Told:
    if settled.status is RefundStatus.SUCCEEDED:
        reversed_ = replace(payment, status=PaymentStatus.REVERSED)
        return reversed_, (_cancelled(reversed_),)
    cause = f"reversal_refused: {settled.call.code}"
    return payment, (PaymentUnresolved(order_id=payment.order_id, payment_id=payment.id, cause=cause),)


def _part_settled(payment: Payment, settled: Refund, step: Step) -> Told:
    told = _returned(payment, settled) if settled.status is RefundStatus.SUCCEEDED else _refused(payment, settled)
    if payment.reversal_id is None:
        return payment, (told,)
    reversing, events = _reverse_rest(payment, payment.reversal_id, step)
    return reversing, (told, *events)


def _returned(payment: Payment, settled: Refund) -> Event:
    return RefundSucceeded(
        order_id=payment.order_id,
        customer_id=payment.payer,
        refund_id=settled.id,
        amount=payment.money(settled.amount),
    )


def _refused(payment: Payment, settled: Refund) -> Event:
    money = payment.money(settled.amount)
    code = settled.call.code or "refund_refused"
    return RefundFailed(order_id=payment.order_id, refund_id=settled.id, amount=money, code=code)


def _cancelled(payment: Payment) -> Event:
    if payment.captured == 0:
        return PaymentCancelled(order_id=payment.order_id, kind=ReturnKind.NONE)
    returned = payment.money(payment.refunded)
    return PaymentCancelled(order_id=payment.order_id, kind=ReturnKind.REFUND, returned=returned)


def _with(payment: Payment, changed: Refund) -> tuple[Refund, ...]:
    return tuple(changed if refund.id == changed.id else refund for refund in payment.refunds)


def returned(payment: Payment, asked: Refund, answer: Answer, step: Step) -> Told:
    """The books have the reversal after all: the one of unknown outcome, or the one that was refused at first."""
    if asked.is_open:
        return learn(payment, asked, answer, step)
    reopened = replace(asked, status=RefundStatus.UNKNOWN)
    reserved = replace(payment, refund_reserved=asked.amount, refunds=_with(payment, reopened))
    return learn(reserved, reopened, answer, step)


def send_again(payment: Payment, refused: Refund, step: Step) -> Told:
    """A refused reversal is asked for anew: the refusal was definite, so that a new key cannot pay twice."""
    again = replace(_asked(RefundId(step.id), refused.amount, refused.reason, step), reverses=True)
    reserved = payment.moved(step.now, refund_reserved=again.amount, refunds=(*payment.refunds, again))
    return reserved, ()
