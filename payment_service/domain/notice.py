"""What the provider tells by itself, through its webhook: stored first, held against the payment in a second step."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from contracts.types import OrderId
from payment_service.domain.answer import contradicts, learn
from payment_service.domain.payment import Answer, Payment, Step, Told

RETRY_AT_MOST = timedelta(minutes=5)


class NoticeStatus(StrEnum):
    """What became of it: not looked at, ahead of its payment, applied, or against what is settled or asked for."""

    RECEIVED = "received"
    PARKED = "parked"
    APPLIED = "applied"
    CONTRADICTS = "contradicts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One event of a provider. ``(provider, event_id)`` is unique: telling it again changes nothing."""

    provider: str
    event_id: str
    type: str
    order_id: OrderId
    call_key: str
    answer: Answer
    received_at: datetime
    due_at: datetime
    status: NoticeStatus = NoticeStatus.RECEIVED
    tries: int = 0
    applied_at: datetime | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.provider, self.event_id

    @property
    def is_open(self) -> bool:
        return self.status in {NoticeStatus.RECEIVED, NoticeStatus.PARKED}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveNotice:
    """The provider tells something, in a message whose signature is right."""

    provider: str
    event_id: str
    type: str
    order_id: OrderId
    call_key: str
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyNotice:
    """A stored notice is due."""

    provider: str
    event_id: str
    order_id: OrderId


class SignatureInvalid(Exception):
    """The message was not signed with the secret that we share with this provider."""


def receive(command: ReceiveNotice, now: datetime) -> Notice:
    return Notice(
        provider=command.provider,
        event_id=command.event_id,
        type=command.type,
        order_id=command.order_id,
        call_key=command.call_key,
        answer=command.answer,
        received_at=now,
        due_at=now,
    )


def settle(notice: Notice, payment: Payment | None, now: datetime) -> Notice:
    """The notice after it was held against the payment: one that is ahead of it waits, at most five minutes a time."""
    if payment is None or not (payment.attempt_with(notice.call_key) or payment.refund_with(notice.call_key)):
        wait = min(timedelta(seconds=2 ** min(notice.tries, 9)), RETRY_AT_MOST)
        return replace(notice, status=NoticeStatus.PARKED, tries=notice.tries + 1, due_at=now + wait)
    against = contradicts(payment, notice.call_key, notice.answer)
    status = NoticeStatus.CONTRADICTS if against else NoticeStatus.APPLIED
    return replace(notice, status=status, applied_at=now)


def heard(notice: Notice, payment: Payment, step: Step) -> Told:
    """The payment after a notice that was held against it.

    One that does not say of how much money it speaks is believed nothing: its call is looked up anyway.
    """
    if notice.status is NoticeStatus.APPLIED and notice.answer.held:
        return learn(payment, notice.call_key, notice.answer, step)
    return payment, ()
