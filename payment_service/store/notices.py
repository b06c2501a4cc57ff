"""What providers told by themselves: stored once, locked to be applied, listed for staff where it contradicts."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Text, bindparam, func, select, text

from chassis.database import Transaction
from chassis.statements import Bulk, Statement
from chassis.store import Change
from payment_service.domain.notice import Notice, NoticeStatus
from payment_service.domain.payment import Answer, Held, Outcome
from payment_service.tables import webhook_events

_NAMED = (
    func.unnest(bindparam("providers", type_=ARRAY(Text)), bindparam("event_ids", type_=ARRAY(Text)), type_=Text)
    .table_valued("provider", "event_id", name="named")
    .render_derived()
)
_LOCK_NOTICES = Statement(
    select(webhook_events)
    .join(_NAMED, (webhook_events.c.provider == _NAMED.c.provider) & (webhook_events.c.event_id == _NAMED.c.event_id))
    .order_by(webhook_events.c.provider, webhook_events.c.event_id)
    .with_for_update(of=webhook_events)
)
_DUE = Statement(
    select(webhook_events)
    .where(text("status IN ('received', 'parked')"))
    .where(webhook_events.c.due_at <= func.now())
    .order_by(webhook_events.c.due_at)
    .limit(bindparam("most"))
)
_CONTRADICTING = Statement(
    select(webhook_events)
    .where(webhook_events.c.order_id == bindparam("order_id"))
    .where(webhook_events.c.status == NoticeStatus.CONTRADICTS)
    .order_by(webhook_events.c.received_at)
)
_ADD_NOTICES = Bulk.insert(webhook_events)
_SAVE_NOTICES = Bulk.update(webhook_events, *(column.name for column in webhook_events.c))


async def lock_notices(tx: Transaction, keys: Sequence[tuple[str, str]]) -> list[Notice]:
    providers, event_ids = zip(*keys, strict=True)
    rows = await tx.fetch(_LOCK_NOTICES, providers=list(providers), event_ids=list(event_ids))
    return [_notice(row) for row in rows]


def _notice(row: Any) -> Notice:
    return Notice(
        provider=row["provider"],
        event_id=row["event_id"],
        type=row["type"],
        order_id=row["order_id"],
        call_key=row["call_key"],
        answer=_answer(row),
        status=NoticeStatus(row["status"]),
        tries=row["tries"],
        received_at=row["received_at"],
        due_at=row["due_at"],
        applied_at=row["applied_at"],
    )


def _answer(row: Any) -> Answer:
    held = None if row["amount"] is None else Held(row["amount"], row["currency"])
    return Answer(outcome=Outcome(row["outcome"]), reference=row["reference"], code=row["code"], held=held)


async def save_notices(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_ADD_NOTICES, [_notice_row(after) for before, after in changes if before is None])
    await tx.run(_SAVE_NOTICES, [_notice_row(after) for before, after in changes if before is not None])


def _notice_row(it: Notice) -> tuple[Any, ...]:
    answer = (it.answer.outcome, it.answer.reference, it.answer.code)
    head = (it.provider, it.event_id, it.type, it.order_id, it.call_key)
    held = it.answer.held or (None, None)
    return (*head, *answer, it.status, it.tries, it.received_at, it.due_at, it.applied_at, *held)


async def list_due_notices(tx: Transaction, most: int) -> list[Notice]:
    return [_notice(row) for row in await tx.fetch(_DUE, most=most)]


async def list_contradictions(tx: Transaction, order_id: UUID) -> list[Notice]:
    return [_notice(row) for row in await tx.fetch(_CONTRADICTING, order_id=order_id)]
