"""One payment an order: what was asked of the provider, what is known of it, and how much of it went back.

The life of a payment is in ``attempt`` (charging) and ``refund`` (giving back); the values they share are here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, cast
from uuid import UUID

from contracts.event import Event
from contracts.types import Money, OrderId, PaymentId, RefundId, RefundReason, UserId, with_changes

UNRESOLVED_AFTER = timedelta(minutes=15)


class PaymentStatus(StrEnum):
    """Where the money is."""

    REQUIRES_METHOD = "requires_method"
    PROCESSING = "processing"
    UNKNOWN = "unknown"
    CAPTURED = "captured"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REVERSING = "reversing"
    REVERSED = "reversed"


class AttemptStatus(StrEnum):
    """What became of one charge."""

    PROCESSING = "processing"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class RefundStatus(StrEnum):
    """What became of one refund."""

    REQUESTED = "requested"
    SENT = "sent"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Outcome(StrEnum):
    """What the provider said: money moved, money did not move, or nothing that can be relied on."""

    DONE = "done"
    DENIED = "denied"
    UNKNOWN = "unknown"


class Held(NamedTuple):
    """The money that the provider's books hold under a key."""

    amount: int
    currency: str

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The provider's answer to one call; ``again_after`` says when to ask again while it is unknown.

    It is the answer to a call of ours only where what is ``held`` is what we asked for.
    """

    outcome: Outcome
    held: Held | None = None
    reference: str | None = None
    code: str | None = None
    again_after: timedelta = timedelta(0)


class Step(NamedTuple):
    """The circumstances of one step: the time, how ids are derived, and the request that it belongs to.

    With a ``lease`` a charge is born claimed for so long: whoever makes it asks the provider.
    """

    now: datetime
    derive: Callable[..., UUID]
    correlation_id: str
    traceparent: str | None = None
    lease: timedelta | None = None

    @property
    def id(self) -> UUID:
        """The id of what the step creates."""
        return self.derive("step")


class Call(NamedTuple):
    """What is asked of the provider under one key, which is written before the first try and never changes.

    ``claimed`` says that somebody may have asked; ``due_at`` is then when whoever did may be given up.
    """

    key: str
    due_at: datetime
    correlation_id: str
    traceparent: str | None = None
    tries: int = 0
    unknown_since: datetime | None = None
    unresolved_at: datetime | None = None
    reference: str | None = None
    code: str | None = None
    settled_at: datetime | None = None
    claimed: bool = False

    @classmethod
    def under(cls, key: str, step: Step, lease: timedelta | None = None) -> "Call":
        return cls(
            key=key,
            due_at=step.now + lease if lease else step.now,
            correlation_id=step.correlation_id,
            traceparent=step.traceparent,
            claimed=lease is not None,
        )

    def postponed(self, answer: Answer, now: datetime) -> "Call":
        since = self.unknown_since or now
        told = self.unresolved_at or (now if now - since >= UNRESOLVED_AFTER else None)
        return self._replace(
            tries=self.tries + 1, unknown_since=since, unresolved_at=told, due_at=now + answer.again_after
        )

    def settled(self, answer: Answer, now: datetime) -> "Call":
        return self._replace(reference=answer.reference, code=answer.code, settled_at=now)


class Attempt(NamedTuple):
    """One try to charge; at most one of a payment is live or succeeded."""

    number: int
    method: str
    call: Call
    status: AttemptStatus = AttemptStatus.PROCESSING

    @property
    def is_live(self) -> bool:
        return self.status in {AttemptStatus.PROCESSING, AttemptStatus.UNKNOWN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money on its way back: a part of what was captured, or the whole rest when the payment is reversed."""

    id: RefundId
    amount: int
    reason: RefundReason
    call: Call
    status: RefundStatus = RefundStatus.REQUESTED
    reverses: bool = False

    @property
    def is_open(self) -> bool:
        return self.status in {RefundStatus.REQUESTED, RefundStatus.SENT, RefundStatus.UNKNOWN}


@dataclass(frozen=True, kw_only=True)
class Payment:
    """The payment of one order. One that was cancelled before it was asked for has no amount and no customer.

    It has no slots, so that its next version is made of its fields as a whole, nine times faster than one by one.
    """

    order_id: OrderId
    id: PaymentId
    status: PaymentStatus
    created_at: datetime
    updated_at: datetime
    customer_id: UserId | None = None
    amount: Money | None = None
    cancel_flagged: bool = False
    captured: int = 0
    refunded: int = 0
    refund_reserved: int = 0
    reversal_id: RefundId | None = None
    reversal_reason: RefundReason = RefundReason.CANCELLED
    version: int = 1
    attempts: tuple[Attempt, ...] = ()
    refunds: tuple[Refund, ...] = ()

    @property
    def key(self) -> OrderId:
        return self.order_id

    @property
    def attempt(self) -> int:
        """The number of the last attempt, 0 before the first."""
        return len(self.attempts)

    @property
    def rest(self) -> int:
        """What was captured and is neither returned nor promised to be."""
        return self.captured - self.refunded - self.refund_reserved

    @property
    def billed(self) -> Money:
        """The amount; every payment but a tombstone has one."""
        return cast("Money", self.amount)

    @property
    def payer(self) -> UserId:
        """The customer; every payment but a tombstone has one."""
        return cast("UserId", self.customer_id)

    def money(self, amount: int) -> Money:
        return Money(amount=amount, currency=self.billed.currency)

    def moved(self, now: datetime, **changes: Any) -> "Payment":
        """The payment after one step."""
        return with_changes(self, version=self.version + 1, updated_at=now, **changes)

    def attempt_with(self, key: str) -> Attempt | None:
        return next((attempt for attempt in self.attempts if attempt.call.key == key), None)

    def asked_under(self, key: str) -> Held | None:
        """What we ask of the provider under a key of ours."""
        if self.attempt_with(key):
            return Held(self.billed.amount, self.billed.currency)
        refund = self.refund_with(key)
        return Held(refund.amount, self.billed.currency) if refund else None

    def refund_with(self, key: str) -> Refund | None:
        return next((refund for refund in self.refunds if refund.call.key == key), None)


# What a step leads to: the payment after it, and what it tells. ``Outcome`` is the provider's word here.
Told = tuple[Payment, tuple[Event, ...]]
