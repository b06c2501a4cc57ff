"""Counts of sign-ins that failed."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Integer, Interval, bindparam, delete, func, or_, select, tuple_

from auth_service.domain.attempt import Tries
from auth_service.tables import tries
from chassis.database import Transaction
from chassis.statements import Bulk, Statement
from chassis.store import Change, Rows

_LOCK = f"""
    SELECT t.* FROM {tries.fullname} t JOIN unnest($1::bytea[], $2::bytea[]) AS v(account, place) USING (account, place)
    ORDER BY account, place FOR UPDATE OF t
"""  # noqa: S608 -- the table is ours
_ADD = Bulk.insert(tries)
_SAVE = Bulk.update(tries, *(column.name for column in tries.c))

_NOWHERE = or_(tries.c.account == b"", tries.c.place == b"")
_LONG_AGO = func.now() - bindparam("kept_for", type_=Interval)
_KEY = tuple_(tries.c.account, tries.c.place)
_OLD = select(tries.c.account, tries.c.place).limit(bindparam("limit", type_=Integer))
_FORGET_FAILURES = Statement(
    delete(tries)
    .where(_KEY.in_(_OLD.where(_NOWHERE, tries.c.last_at < func.now() - timedelta(days=1))))
    .returning(tries.c.failures)
)
_FORGET_HOMES = Statement(
    delete(tries).where(_KEY.in_(_OLD.where(tries.c.last_at < _LONG_AGO))).returning(tries.c.failures)
)


async def lock_tries(tx: Transaction, keys: Sequence[tuple[bytes, bytes]]) -> list[Tries]:
    return [Tries(**row) for row in await tx.sql(_LOCK, *zip(*keys, strict=True))]


async def save_tries(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_ADD, [_ADD.row(c.after) for c in changes if c.before is None])
    await tx.run(_SAVE, [_SAVE.row(c.after) for c in changes if c.before is not None])


ROWS: tuple[Rows[Any], ...] = (Rows(Tries, save=save_tries, load=lock_tries),)


async def forget_tries(tx: Transaction, *, kept_for: timedelta, limit: int) -> int:
    """Deletes counts after a day, and where accounts are at home when they have not come from there for so long."""
    forgotten = len(await tx.fetch(_FORGET_FAILURES, limit=limit))
    return max(forgotten, len(await tx.fetch(_FORGET_HOMES, kept_for=kept_for, limit=limit)))
