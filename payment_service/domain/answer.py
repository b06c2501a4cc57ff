"""What the provider says under one of our keys, whoever asked it: the charging loop, a look-up, or its webhook."""

from dataclasses import dataclass

from contracts.types import OrderId
from payment_service.domain import attempt as attempts
from payment_service.domain import refund as refunds
from payment_service.domain.payment import Answer, Outcome, Payment, Step, Told


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAnswered:
    """The provider answered what was asked under this key."""

    order_id: OrderId
    key: str
    answer: Answer


def learn(payment: Payment, key: str, answer: Answer, step: Step) -> Told:
    """The payment after the answer; unchanged where the key is not known or already settled."""
    if attempt := payment.attempt_with(key):
        return attempts.learn(payment, attempt, answer, step)
    if refund := payment.refund_with(key):
        return refunds.learn(payment, refund, answer, step)
    return payment, ()


def contradicts(payment: Payment, key: str, answer: Answer) -> bool:
    """Whether an answer says the opposite of what is already settled under this key, or is about other money."""
    if answer.held and answer.held != payment.asked_under(key):
        return True
    asked = payment.attempt_with(key) or payment.refund_with(key)
    match asked and asked.status.value, answer.outcome:
        case ("succeeded", Outcome.DENIED) | ("failed", Outcome.DONE):
            return True
    return False
