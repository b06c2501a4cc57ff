"""The life of a notification: queued, sending (leased), then sent, waiting for another try, dead, or suppressed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from contracts.event import Event
from contracts.notifications import NotificationDead
from contracts.stock import StockLow
from contracts.types import NotificationId, OrderId, with_changes
from notification_service.domain.mails import Template, ToCustomer, ToStaff, recipient_of, template_of
from notification_service.domain.reader import Reader

ERASED = "erased"
LONGEST_DELAY = timedelta(minutes=15)


class Channel(StrEnum):
    EMAIL = "email"


class Status(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"
    SUPPRESSED = "suppressed"


class NotResendable(Exception):
    """Only a notification that was sent, or given up, can be sent again."""


class NoSuchNotification(Exception):
    """There is no such notification."""


@dataclass(frozen=True, kw_only=True)
class Notification:
    """One mail to one recipient about one event. ``due_at`` is when it may be sent, or when the sender's lease ends.

    It has no slots, so that its next version is made of its fields as a whole, nine times faster than one by one.
    """

    id: UUID
    event_id: UUID
    template: Template
    recipient: str
    user_id: UUID | None
    order_id: UUID | None
    data: Mapping[str, Any]
    status: Status
    created_at: datetime
    queued_at: datetime
    due_at: datetime
    channel: Channel = Channel.EMAIL
    attempts: int = 0
    resent: int = 0
    reason: str | None = None
    address: str | None = field(default=None, repr=False)
    sent_at: datetime | None = None
    version: int = 1

    @property
    def key(self) -> UUID:
        return self.id

    def changed(self, **changes: Any) -> "Notification":
        """The next version."""
        return with_changes(self, version=self.version + 1, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendNotification:
    notification_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSent:
    notification_id: UUID
    attempt: int
    address: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSetback:
    """It did not work now and may work later. ``jitter`` is drawn by the sender, from 0 to 1."""

    notification_id: UUID
    attempt: int
    reason: str
    jitter: float
    max_age: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFailure:
    """It will never work."""

    notification_id: UUID
    attempt: int
    reason: str


Record = RecordSent | RecordSetback | RecordFailure


def write(
    fact: ToCustomer | ToStaff, reader: Reader | None, *, notification_id: UUID, event_id: UUID, now: datetime
) -> Notification:
    notification = Notification(
        id=notification_id,
        event_id=event_id,
        template=template_of(fact),
        recipient=recipient_of(fact),
        user_id=None if isinstance(fact, ToStaff) else fact.customer_id,
        order_id=None if isinstance(fact, StockLow) else fact.order_id,
        data=fact.model_dump(mode="json", exclude={"customer_id"}),
        status=Status.QUEUED,
        created_at=now,
        queued_at=now,
        due_at=now,
    )
    if reader is not None and reader.erased:
        return replace(
            notification, recipient=ERASED, user_id=None, data={}, status=Status.SUPPRESSED, reason="user_erased"
        )
    if reader is not None and notification.template in reader.opted_out:
        return replace(notification, status=Status.SUPPRESSED, reason="opted_out")
    return notification


def claim(written: Notification, lease: timedelta | None) -> Notification:
    """A new mail that is to be sent, claimed by whoever writes it; without a lease it stays queued."""
    if lease is None or written.status is not Status.QUEUED:
        return written
    return replace(written, status=Status.SENDING, attempts=1, due_at=written.due_at + lease)


def record(notification: Notification, outcome: Record, now: datetime) -> tuple[Notification, tuple[Event, ...]]:
    """What became of an attempt. Whoever lost the lease meanwhile reports an older attempt, and changes nothing."""
    if notification.status is not Status.SENDING or notification.attempts != outcome.attempt:
        return notification, ()
    match outcome:
        case RecordSent(address=address):
            return notification.changed(status=Status.SENT, address=address, sent_at=now, reason=None), ()
        case RecordFailure(reason=reason):
            return _give_up(notification, reason)
    due_at = now + delay(notification.attempts, outcome.jitter)
    if due_at > notification.queued_at + outcome.max_age:
        return _give_up(notification, f"too_old: {outcome.reason}")
    return notification.changed(status=Status.WAITING, due_at=due_at, reason=outcome.reason), ()


def delay(attempts: int, jitter: float) -> timedelta:
    """The pause after so many attempts: doubling from 2 s to 15 min; ``jitter`` (0 to 1) takes away up to half."""
    longest = min(timedelta(seconds=2 ** min(attempts, 10)), LONGEST_DELAY)
    return longest - longest / 2 * jitter


def is_stale(notification: Notification, max_age: timedelta, now: datetime) -> bool:
    return now > notification.queued_at + max_age


def resend(notification: Notification, now: datetime) -> Notification:
    if notification.status not in {Status.SENT, Status.DEAD} or notification.recipient == ERASED:
        raise NotResendable
    return notification.changed(
        status=Status.QUEUED,
        queued_at=now,
        due_at=now,
        attempts=0,
        resent=notification.resent + 1,
        reason=None,
        address=None,
        sent_at=None,
    )


def _give_up(notification: Notification, reason: str) -> tuple[Notification, tuple[Event, ...]]:
    dead = NotificationDead(
        notification_id=NotificationId(notification.id),
        template=notification.template,
        order_id=None if notification.order_id is None else OrderId(notification.order_id),
    )
    return notification.changed(status=Status.DEAD, reason=reason), (dead,)
