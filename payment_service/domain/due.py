"""Calls to the provider that are to be made now, by whoever has claimed them."""

from typing import NamedTuple
from uuid import UUID

from payment_service.domain.payment import Attempt, Held, Payment


class DueCall(NamedTuple):
    """A charge (with a method) or a refund (with its charge's key) to be made, or to be looked up if asked before."""

    key: str
    order_id: UUID
    amount: int
    currency: str
    tries: int
    correlation_id: str
    traceparent: str | None
    method: str | None
    charge_key: str | None
    asked_before: bool
    customer_id: UUID

    @property
    def is_charge(self) -> bool:
        return self.charge_key is None

    @property
    def asked(self) -> Held:
        """The money that is asked for."""
        return Held(self.amount, self.currency)


def born_claimed(before: Payment | None, after: Payment) -> tuple[DueCall, ...]:
    """The charges that a step has made and claimed."""
    made = after.attempts[len(before.attempts) :] if before else after.attempts
    return tuple([_charge(after, attempt) for attempt in made if attempt.call.claimed]) if made else ()


def _charge(payment: Payment, attempt: Attempt) -> DueCall:
    call, money = attempt.call, payment.billed
    return DueCall(
        key=call.key,
        order_id=payment.order_id,
        amount=money.amount,
        currency=money.currency,
        tries=call.tries,
        correlation_id=call.correlation_id,
        traceparent=call.traceparent,
        method=attempt.method,
        charge_key=None,
        asked_before=False,
        customer_id=payment.payer,
    )
