"""What happened to accounts: rows are added and read, and nothing else."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import ARRAY, Text, Uuid, any_, bindparam, select

from auth_service.domain.security_event import SecurityEvent, What
from auth_service.store.paging import one_page
from auth_service.tables import security_events
from chassis.database import Transaction
from chassis.paging import Page
from chassis.statements import Bulk
from chassis.store import Change, Rows

_ADD = Bulk.insert(security_events)


async def add(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_ADD, [_ADD.row(change.after) for change in changes])


ROWS: Rows[Any] = Rows(SecurityEvent, save=add)


async def list_security_events(
    tx: Transaction, page: Page, *, user_ids: Sequence[UUID], what: Sequence[What]
) -> list[SecurityEvent]:
    """Newest first, up to one more than the page holds."""
    query, given = select(security_events), dict[str, Any]()
    if user_ids:
        query = query.where(security_events.c.user_id == any_(bindparam("users", type_=ARRAY(Uuid))))
        given["users"] = user_ids
    if what:
        query, given["what"] = query.where(security_events.c.what == any_(bindparam("what", type_=ARRAY(Text)))), what
    return [_event(row) for row in await one_page(tx, query, security_events, page, given)]


def _event(row: Record) -> SecurityEvent:
    return SecurityEvent(**{**row, "what": What(row["what"])})
