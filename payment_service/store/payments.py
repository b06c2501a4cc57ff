"""The statements behind payment_service's decisions: payments with what was asked for them, set-wise and locked."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, select

from chassis.database import Transaction
from chassis.statements import Bulk, Statement
from chassis.store import Change
from contracts.types import Money, RefundReason
from payment_service.domain.ledger import Entry
from payment_service.domain.payment import (
    Attempt,
    AttemptStatus,
    Call,
    Payment,
    PaymentStatus,
    Refund,
    RefundStatus,
)
from payment_service.domain.resolution import Resolved
from payment_service.tables import ledger, payment_attempts, payments, refunds, resolutions

_IDS = bindparam("ids", type_=ARRAY(Uuid))
_LOCK_PAYMENTS = Statement(
    select(payments).where(payments.c.order_id == any_(_IDS)).order_by(payments.c.order_id).with_for_update()
)
_ATTEMPTS = Statement(
    select(payment_attempts).where(payment_attempts.c.payment_id == any_(_IDS)).order_by(payment_attempts.c.attempt)
)
_REFUNDS = Statement(select(refunds).where(refunds.c.payment_id == any_(_IDS)).order_by(refunds.c.number))

_PAYMENT = (
    "order_id", "id", "customer_id", "status", "amount", "currency", "cancel_flagged", "captured", "refunded",
    "refund_reserved", "reversal_id", "reversal_reason", "version", "created_at", "updated_at",
)  # fmt: skip
_MOVED = (
    "order_id", "status", "cancel_flagged", "captured", "refunded", "refund_reserved", "reversal_id",
    "reversal_reason", "version", "updated_at",
)  # fmt: skip
_ANSWER = ("status", "due_at", "tries", "unknown_since", "unresolved_at", "reference", "code", "settled_at")
_CALL = ("key", "correlation_id", "traceparent", "claimed", *_ANSWER)
_ATTEMPT = ("payment_id", "attempt", "order_id", "method", "amount", "currency", *_CALL)
_REFUND = (
    "payment_id", "refund_id", "order_id", "number", "charge_key", "amount", "currency", "reason", "reverses",
    "requested_at", *_CALL,
)  # fmt: skip

# New payments are inserted, never upserted: two that are new at once must collide (a tombstone is never overwritten).
_ADD_PAYMENTS = Bulk.insert(payments, *_PAYMENT)
_SAVE_PAYMENTS = Bulk.update(payments, *_MOVED)
_ADD_ATTEMPTS = Bulk.insert(payment_attempts, *_ATTEMPT)
_SAVE_ATTEMPTS = Bulk.update(payment_attempts, "payment_id", "attempt", *_ANSWER)
_ADD_REFUNDS = Bulk.insert(refunds, *_REFUND)
_SAVE_REFUNDS = Bulk.update(refunds, "payment_id", "refund_id", *_ANSWER)
_ADD_ENTRIES = Bulk.insert(ledger)
_ADD_RESOLUTIONS = Bulk.insert(resolutions)


async def lock_payments(tx: Transaction, order_ids: Sequence[UUID]) -> list[Payment]:
    return await with_calls(tx, await tx.fetch(_LOCK_PAYMENTS, ids=list(order_ids)))


async def with_calls(tx: Transaction, rows: Sequence[Any]) -> list[Payment]:
    """The payments of these rows, with their attempts, and the refunds of those that were captured."""
    charged = [row["id"] for row in rows if row["amount"] is not None]
    captured = [row["id"] for row in rows if row["captured"]]
    attempts = await tx.fetch(_ATTEMPTS, ids=charged) if charged else []
    returned = await tx.fetch(_REFUNDS, ids=captured) if captured else []
    grouped: dict[UUID, tuple[list[Attempt], list[Refund]]] = {row["id"]: ([], []) for row in rows}
    for row in attempts:
        grouped[row["payment_id"]][0].append(_attempt(row))
    for row in returned:
        grouped[row["payment_id"]][1].append(_refund(row))
    return [_payment(row, *grouped[row["id"]]) for row in rows]


def _payment(row: Any, attempts: list[Attempt], returned: list[Refund]) -> Payment:
    return Payment(
        order_id=row["order_id"],
        id=row["id"],
        customer_id=row["customer_id"],
        status=PaymentStatus(row["status"]),
        amount=None if row["amount"] is None else Money(amount=row["amount"], currency=row["currency"]),
        cancel_flagged=row["cancel_flagged"],
        captured=row["captured"],
        refunded=row["refunded"],
        refund_reserved=row["refund_reserved"],
        reversal_id=row["reversal_id"],
        reversal_reason=RefundReason(row["reversal_reason"]),
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        attempts=tuple(attempts),
        refunds=tuple(returned),
    )


def _call(row: Any) -> Call:
    return Call(**{name: row[name] for name in _CALL if name != "status"})


def _attempt(row: Any) -> Attempt:
    return Attempt(number=row["attempt"], method=row["method"], call=_call(row), status=AttemptStatus(row["status"]))


def _refund(row: Any) -> Refund:
    return Refund(
        id=row["refund_id"],
        amount=row["amount"],
        reason=RefundReason(row["reason"]),
        call=_call(row),
        status=RefundStatus(row["status"]),
        reverses=row["reverses"],
    )


async def save_payments(tx: Transaction, changes: Sequence[Change]) -> None:
    """An attempt that failed is saved before its successor is added: one live attempt a payment is a unique index."""
    await tx.run(_ADD_PAYMENTS, [_payment_row(after) for before, after in changes if before is None])
    await tx.run(_SAVE_PAYMENTS, [_SAVE_PAYMENTS.row(after) for before, after in changes if before is not None])
    attempts = [each for change in changes for each in _changed(change, "attempts")]
    await tx.run(_SAVE_ATTEMPTS, [(of.id, it.number, *_answer_row(it)) for of, it, _, is_new in attempts if not is_new])
    await tx.run(_ADD_ATTEMPTS, [_attempt_row(of, it) for of, it, _, is_new in attempts if is_new])
    returned = [each for change in changes for each in _changed(change, "refunds")]
    await tx.run(_SAVE_REFUNDS, [(of.id, it.id, *_answer_row(it)) for of, it, _, is_new in returned if not is_new])
    await tx.run(_ADD_REFUNDS, [_refund_row(of, it, place) for of, it, place, is_new in returned if is_new])


def _changed(change: Change, name: str) -> Iterator[tuple[Payment, Any, int, bool]]:
    before = getattr(change.before, name) if change.before else ()
    for place, child in enumerate(getattr(change.after, name)):
        is_new = place >= len(before)
        if is_new or before[place] is not child:
            yield change.after, child, place, is_new


def _payment_row(payment: Payment) -> tuple[Any, ...]:
    return (
        payment.order_id, payment.id, payment.customer_id, payment.status, *_money(payment.amount),
        payment.cancel_flagged, payment.captured, payment.refunded, payment.refund_reserved, payment.reversal_id,
        payment.reversal_reason, payment.version, payment.created_at, payment.updated_at,
    )  # fmt: skip


def _money(money: Money | None) -> tuple[int | None, str | None]:
    return (money.amount, money.currency) if money else (None, None)


def _answer_row(asked: Attempt | Refund) -> tuple[Any, ...]:
    call = asked.call
    return (
        asked.status, call.due_at, call.tries, call.unknown_since, call.unresolved_at, call.reference, call.code,
        call.settled_at,
    )  # fmt: skip


def _call_row(asked: Attempt | Refund) -> tuple[Any, ...]:
    call = asked.call
    return (call.key, call.correlation_id, call.traceparent, call.claimed, *_answer_row(asked))


def _attempt_row(payment: Payment, attempt: Attempt) -> tuple[Any, ...]:
    head = (payment.id, attempt.number, payment.order_id, attempt.method, *_money(payment.amount))
    return (*head, *_call_row(attempt))


def _refund_row(payment: Payment, refund: Refund, place: int) -> tuple[Any, ...]:
    charge_key = next(a.call.key for a in payment.attempts if a.status is AttemptStatus.SUCCEEDED)
    money = (refund.amount, payment.billed.currency)
    head = (payment.id, refund.id, payment.order_id, place, charge_key, *money, refund.reason, refund.reverses)
    return (*head, refund.call.due_at, *_call_row(refund))


async def add_entries(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_ADD_ENTRIES, [_entry_row(after) for _, after in changes])


def _entry_row(entry: Entry) -> tuple[Any, ...]:
    money = (entry.money.amount, entry.money.currency)
    return (entry.key, entry.payment_id, entry.order_id, entry.kind, *money, entry.reference, entry.entered_at)


async def add_resolutions(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_ADD_RESOLUTIONS, [_resolution_row(after) for _, after in changes])


def _resolution_row(it: Resolved) -> tuple[Any, ...]:
    return (it.id, it.payment_id, it.call_key, it.actor, it.outcome, it.evidence, it.books, it.resolved_at)
