"""A person settles what stays unresolved, with evidence, and never against the provider's books."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from contracts.types import OrderId, PaymentId
from payment_service.domain import attempt as attempts
from payment_service.domain import refund as refunds
from payment_service.domain.payment import (
    Answer,
    Attempt,
    Outcome,
    Payment,
    PaymentStatus,
    Refund,
    RefundStatus,
    Step,
    Told,
)

# What to do instead of calling a silence a decline.
_WAIT = (
    "The provider's books hold nothing under this key, and a call that is on its way could still land. "
    "The same key is repeated until the answer is definite: wait for it, or have the provider enter it in its books "
    "and resolve again. A reversal that was refused is sent again with the outcome retry."
)


class Resolution(StrEnum):
    """How it ended: the charge was captured or declined; the reversal was returned, or is to be sent again."""

    CAPTURED = "captured"
    DECLINED = "declined"
    RETURNED = "returned"
    RETRY = "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the provider's books say under the key in question; no outcome where they say nothing."""

    answer: Answer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvePayment:
    """A person's word on an unresolved payment, beside what the provider's books said just before."""

    order_id: OrderId
    outcome: Resolution
    evidence: str
    key: str
    books: Books


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The audit's row: who settled what, how, and on what evidence."""

    id: UUID
    payment_id: PaymentId
    call_key: str
    actor: str
    outcome: Resolution
    evidence: str
    books: str
    resolved_at: datetime

    @property
    def key(self) -> UUID:
        return self.id


class PaymentNotResolvable(Exception):
    """The payment does not wait for a person, or not for this outcome."""


class BooksContradict(Exception):
    """The provider's books say otherwise."""


class BooksSilent(Exception):
    """The provider's books hold nothing under this key."""


class BooksUnread(Exception):
    """The provider does not answer, so that its books cannot be compared; try again later."""


def in_question(payment: Payment) -> Attempt | Refund | None:
    """What a person may settle: a charge or refund of unknown outcome, or a reversal that was refused."""
    if payment.status is PaymentStatus.UNKNOWN:
        return payment.attempts[-1]
    last = payment.refunds[-1:] if payment.status is PaymentStatus.REVERSING else ()
    refused = [refund for refund in last if refund.reverses and refund.status is RefundStatus.FAILED]
    unknown = [refund for refund in payment.refunds if refund.status is RefundStatus.UNKNOWN]
    return next(iter(unknown + refused), None)


def resolve(payment: Payment | None, command: ResolvePayment, step: Step) -> Told:
    """The payment as the person says, where the books do not say otherwise."""
    asked = in_question(payment) if payment else None
    if payment is None or asked is None or asked.call.key != command.key:
        raise PaymentNotResolvable
    match asked, command.outcome:
        case Attempt(), Resolution.CAPTURED | Resolution.DECLINED:
            return attempts.learn(payment, asked, _agreed(payment, command), step)
        case Refund(), Resolution.RETURNED:
            return refunds.returned(payment, asked, _agreed(payment, command), step)
        case Refund(status=RefundStatus.FAILED), Resolution.RETRY:
            return refunds.send_again(payment, asked, step)
    raise PaymentNotResolvable


def _agreed(payment: Payment, command: ResolvePayment) -> Answer:
    """What the books say, where it is what the person says, and of the money that was asked for.

    Silence agrees with nobody: it is not the end of a call.
    """
    wanted = Outcome.DENIED if command.outcome is Resolution.DECLINED else Outcome.DONE
    match command.books.answer:
        case None:
            raise BooksSilent(_WAIT)
        case Answer(outcome=Outcome.UNKNOWN):
            raise BooksUnread
        case Answer() as answer if (answer.outcome, answer.held) == (wanted, payment.asked_under(command.key)):
            return answer
    raise BooksContradict
