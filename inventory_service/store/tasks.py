"""The work list in the database."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import Uuid, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.database import Transaction
from chassis.paging import List, Page
from chassis.statements import Bulk, Statement
from chassis.store import Change
from contracts.types import Priority
from inventory_service.domain.task import Task, TaskKind, TaskStatus
from inventory_service.tables import tasks

_TASKS = select(tasks).where(tasks.c.id == any_(bindparam("ids", type_=ARRAY(Uuid)))).order_by(tasks.c.id)
_LOCK = Statement(_TASKS.with_for_update())
_FIND = Statement(_TASKS.where(tasks.c.deleted_at.is_(None)))
_LIST = List(
    select(tasks).where(tasks.c.deleted_at.is_(None)),
    {tasks.c.created_at: datetime, tasks.c.id: UUID},
    tasks.c.status,
    tasks.c.priority,
    tasks.c.assignee,
    tasks.c.order_id,
)
_INSERT = Bulk.insert(tasks)
_UPDATE = Bulk.update(tasks, *_INSERT.columns)


def _task(row: asyncpg.Record) -> Task:
    words = {
        "kind": TaskKind(row["kind"]),
        "status": TaskStatus(row["status"]),
        "priority": Priority(row["priority"]),
    }
    return Task(**{**row, **words})


async def lock_tasks(tx: Transaction, task_ids: Sequence[UUID]) -> Iterable[Task]:
    return [_task(row) for row in await tx.fetch(_LOCK, ids=task_ids)]


async def save_tasks(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_INSERT, [_INSERT.row(change.after) for change in changes if change.before is None])
    await tx.run(_UPDATE, [_UPDATE.row(change.after) for change in changes if change.before is not None])


async def find_task(tx: Transaction, task_id: UUID) -> Task | None:
    row = await tx.fetch_row(_FIND, ids=[task_id])
    return _task(row) if row else None


async def list_tasks(tx: Transaction, page: Page, **filters: Sequence[Any]) -> list[Task]:
    return [_task(row) for row in await _LIST.fetch(tx, page, **filters)]
