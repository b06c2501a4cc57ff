"""What happened to accounts: rows are added and read, and nothing else."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import select

from auth_service.domain.security_event import SecurityEvent, What
from auth_service.tables import security_events
from chassis.database import Transaction
from chassis.paging import List, Page
from chassis.statements import Bulk
from chassis.store import Change, Rows

_ADD = Bulk.insert(security_events)
_LIST = List(
    select(security_events),
    {security_events.c.created_at: datetime, security_events.c.id: UUID},
    security_events.c.user_id,
    security_events.c.what,
)


async def add(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_ADD, [_ADD.row(change.after) for change in changes])


ROWS: Rows[Any] = Rows(SecurityEvent, save=add)


async def list_security_events(
    tx: Transaction, page: Page, *, user_ids: Sequence[UUID], what: Sequence[What]
) -> list[SecurityEvent]:
    """Newest first, up to one more than the page holds."""
    return [_event(row) for row in await _LIST.fetch(tx, page, user_id=user_ids, what=what)]


def _event(row: Record) -> SecurityEvent:
    return SecurityEvent(**{**row, "what": What(row["what"])})
