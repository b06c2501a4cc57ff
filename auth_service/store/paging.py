"""Pages of rows that have an id and a time, newest first."""

from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import BindParameter, DateTime, Integer, Table, Uuid, bindparam, tuple_

from chassis.database import Transaction
from chassis.paging import Page
from chassis.statements import Statement


async def one_page(tx: Transaction, query: Any, table: Table, page: Page, given: dict[str, Any]) -> list[Record]:
    """Up to one more row than the page holds."""
    at, ids = table.c.created_at, table.c.id
    query = query.order_by(at.desc(), ids.desc()).limit(bindparam("limit", type_=Integer))
    if page.created_after is not None:
        query, given["since"] = query.where(at > _time("since")), page.created_after
    if page.created_before is not None:
        query, given["until"] = query.where(at < _time("until")), page.created_before
    if (last := page.seen(datetime, UUID)) is not None:
        query = query.where(tuple_(at, ids) < tuple_(_time("last_at"), bindparam("last_id", type_=Uuid)))
        given["last_at"], given["last_id"] = last
    return await tx.fetch(Statement(query), limit=page.limit + 1, **given)


def _time(name: str) -> BindParameter[datetime]:
    return bindparam(name, type_=DateTime(timezone=True))
