"""What moved, append-only: one entry a capture and a refund, to be compared with the provider's books (promise P4)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from contracts.types import Money, OrderId, PaymentId
from payment_service.domain.payment import AttemptStatus, Call, Payment, RefundStatus


class EntryKind(StrEnum):
    """Which way the money went."""

    CAPTURE = "capture"
    REFUND = "refund"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Money that moved under one provider key."""

    key: str
    payment_id: PaymentId
    order_id: OrderId
    kind: EntryKind
    money: Money
    reference: str | None
    entered_at: datetime


def entries(before: Payment | None, after: Payment, now: datetime) -> tuple[Entry, ...]:
    """The entries for what has moved between two states of one payment."""
    booked = {entry.key for entry in _moved(before, now)} if before else set()
    return tuple(entry for entry in _moved(after, now) if entry.key not in booked)


def _moved(payment: Payment, now: datetime) -> Iterator[Entry]:
    for attempt in payment.attempts:
        if attempt.status is AttemptStatus.SUCCEEDED:
            yield _entry(payment, EntryKind.CAPTURE, attempt.call, payment.captured, now)
    for refund in payment.refunds:
        if refund.status is RefundStatus.SUCCEEDED:
            yield _entry(payment, EntryKind.REFUND, refund.call, refund.amount, now)


def _entry(payment: Payment, kind: EntryKind, call: Call, amount: int, now: datetime) -> Entry:
    return Entry(
        key=call.key,
        payment_id=payment.id,
        order_id=payment.order_id,
        kind=kind,
        money=payment.money(amount),
        reference=call.reference,
        entered_at=now,
    )
