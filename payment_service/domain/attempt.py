"""Charging: a payment is asked for, a method is given, the provider answers. A timeout is never a decline."""

from dataclasses import dataclass, replace

from contracts.orders import PaymentRequested
from contracts.payments import PaymentCancelled, PaymentFailed, PaymentSucceeded, PaymentUnresolved
from contracts.types import OrderId, PaymentId, RefundId, RefundReason, ReturnKind, UserId
from payment_service.domain.failure import failure
from payment_service.domain.payment import (
    Answer,
    Attempt,
    AttemptStatus,
    Call,
    Outcome,
    Payment,
    PaymentStatus,
    Step,
    Told,
)
from payment_service.domain.refund import reverse


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePayment:
    """A customer gives a method for an order that was placed without one."""

    order_id: OrderId
    customer_id: UserId
    method: str


class PaymentNotFound(Exception):
    """There is no payment of yours for this order."""


class OrderNotPayable(Exception):
    """The order does not wait for a way of paying."""


def request(payment: Payment | None, fact: PaymentRequested, step: Step) -> Payment | None:
    """The order's stock is held, so it may be charged."""
    match payment:
        case None if fact.attempt == 1:
            asked = Payment(
                order_id=fact.order_id,
                id=PaymentId(step.id),
                customer_id=fact.customer_id,
                amount=fact.amount,
                status=PaymentStatus.REQUIRES_METHOD,
                created_at=step.now,
                updated_at=step.now,
                version=0,
            )
            return _charged_with(asked, fact.method, step) if fact.method else asked.moved(step.now)
        case Payment(status=PaymentStatus.FAILED) if fact.method and fact.attempt == payment.attempt + 1:
            return _charged_with(payment, fact.method, step)
    return payment


def pay(payment: Payment | None, command: CreatePayment, step: Step) -> Payment:
    """The customer chose how to pay."""
    if payment is None or payment.customer_id != command.customer_id:
        raise PaymentNotFound
    if payment.status is not PaymentStatus.REQUIRES_METHOD:
        raise OrderNotPayable
    return _charged_with(payment, command.method, step)


def _charged_with(payment: Payment, method: str, step: Step) -> Payment:
    number = payment.attempt + 1
    call = Call.under(f"pay:{payment.id}:{number}", step, step.lease)
    attempts = (*payment.attempts, Attempt(number=number, method=method, call=call))
    return payment.moved(step.now, status=PaymentStatus.PROCESSING, attempts=attempts)


def learn(payment: Payment, attempt: Attempt, answer: Answer, step: Step) -> Told:
    """The provider answered a charge. What is already settled stays as it is."""
    if not attempt.is_live:
        return payment, ()
    match answer.outcome, payment.cancel_flagged:
        case Outcome.UNKNOWN, _:
            return _doubted(payment, attempt, answer, step)
        case Outcome.DONE, False:
            return _captured(payment, attempt, answer, step)
        case Outcome.DONE, True:
            captured, _events = _captured(payment, attempt, answer, step)
            reversing, events = reverse(captured, RefundId(step.id), RefundReason.CANCELLED, step)
            return replace(reversing, version=payment.version + 1), events
        case _, True:
            failed = _settled(payment, attempt, answer, AttemptStatus.FAILED, step)
            cancelled = payment.moved(step.now, status=PaymentStatus.CANCELLED, attempts=failed)
            return cancelled, (PaymentCancelled(order_id=payment.order_id, kind=ReturnKind.NONE),)
    return _declined(payment, attempt, answer, step)


def _doubted(payment: Payment, attempt: Attempt, answer: Answer, step: Step) -> Told:
    call = attempt.call.postponed(answer, step.now)
    doubted = _with(payment, attempt._replace(call=call, status=AttemptStatus.UNKNOWN))
    told = call.unresolved_at != attempt.call.unresolved_at
    unresolved = PaymentUnresolved(order_id=payment.order_id, payment_id=payment.id, cause="charge_unknown")
    return payment.moved(step.now, status=PaymentStatus.UNKNOWN, attempts=doubted), (unresolved,) if told else ()


def _captured(payment: Payment, attempt: Attempt, answer: Answer, step: Step) -> Told:
    attempts = _settled(payment, attempt, answer, AttemptStatus.SUCCEEDED, step)
    captured = payment.billed.amount
    succeeded = PaymentSucceeded(
        order_id=payment.order_id,
        payment_id=payment.id,
        attempt=attempt.number,
        amount=payment.billed,
        provider_reference=answer.reference or "",
    )
    status = PaymentStatus.CAPTURED
    return payment.moved(step.now, status=status, captured=captured, attempts=attempts), (succeeded,)


def _declined(payment: Payment, attempt: Attempt, answer: Answer, step: Step) -> Told:
    code = answer.code or "card_declined"
    why = failure(code)
    failed = PaymentFailed(
        order_id=payment.order_id,
        customer_id=payment.payer,
        attempt=attempt.number,
        code=code,
        retryable=why.retryable,
        message=why.message,
    )
    attempts = _settled(payment, attempt, answer, AttemptStatus.FAILED, step)
    return payment.moved(step.now, status=PaymentStatus.FAILED, attempts=attempts), (failed,)


def _settled(
    payment: Payment, attempt: Attempt, answer: Answer, became: AttemptStatus, step: Step
) -> tuple[Attempt, ...]:
    return _with(payment, attempt._replace(status=became, call=attempt.call.settled(answer, step.now)))


def _with(payment: Payment, changed: Attempt) -> tuple[Attempt, ...]:
    return tuple(changed if attempt.number == changed.number else attempt for attempt in payment.attempts)
