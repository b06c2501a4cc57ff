"""API keys, by their digests."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import ARRAY, Integer, Interval, LargeBinary, Uuid, any_, bindparam, delete, func, select, update

from auth_service.domain.api_key import WITHIN, ApiKey, KeyRing, KeysEnded
from auth_service.domain.lately import MOST
from auth_service.domain.user import User
from auth_service.tables import api_keys
from chassis.database import Transaction
from chassis.paging import List, Page
from chassis.statements import Bulk, Statement
from chassis.store import Change, Rows

_LIST = List(
    select(api_keys).where(api_keys.c.revoked_at.is_(None)),
    {api_keys.c.created_at: datetime, api_keys.c.id: UUID},
    api_keys.c.user_id,
)
_LOCK = Statement(
    select(api_keys)
    .where(api_keys.c.digest == any_(bindparam("digests", type_=ARRAY(LargeBinary))))
    .order_by(api_keys.c.digest)
    .with_for_update()
)
# That a key has not expired is no condition: the index by expiry would be taken, and everybody's keys read with it.
_COUNT = f"""
    SELECT u.id AS user_id,
        (SELECT count(*) FILTER (WHERE k.expires_at > now()) FROM {api_keys.fullname} k
            WHERE k.user_id = u.id AND k.revoked_at IS NULL) AS count,
        ARRAY(SELECT k.created_at FROM {api_keys.fullname} k
            WHERE k.user_id = u.id ORDER BY k.created_at DESC, k.id DESC LIMIT {MOST}) AS made
    FROM unnest($1::uuid[]) AS u(id)
"""  # noqa: S608 -- the table is ours
_FIND = Statement(
    select(api_keys).where(
        api_keys.c.id == bindparam("id", type_=Uuid), api_keys.c.user_id == bindparam("user_id", type_=Uuid)
    )
)
_OLD = select(api_keys.c.digest).limit(bindparam("limit", type_=Integer))
_FORGET_EXPIRED = Statement(
    delete(api_keys)
    .where(
        api_keys.c.digest.in_(_OLD.where(api_keys.c.expires_at < func.now() - bindparam("kept_for", type_=Interval)))
    )
    .returning(api_keys.c.id)
)
# Until then a key counts among those that were made lately.
_FORGET_REVOKED = Statement(
    delete(api_keys)
    .where(api_keys.c.digest.in_(_OLD.where(api_keys.c.revoked_at < func.now() - WITHIN)))
    .returning(api_keys.c.id)
)
_END = Statement(
    update(api_keys)
    .where(api_keys.c.user_id == any_(bindparam("ids", type_=ARRAY(Uuid))), api_keys.c.revoked_at.is_(None))
    .values(revoked_at=func.now())
)
_ADD = Bulk.insert(api_keys)
_SAVE = Bulk.update(api_keys, "digest", "last_used_at", "revoked_at")


async def lock_keys(tx: Transaction, digests: Sequence[bytes]) -> list[ApiKey]:
    return [_key(row) for row in await tx.fetch(_LOCK, digests=digests)]


async def save_keys(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_ADD, [_ADD.row(c.after) for c in changes if c.before is None])
    await tx.run(_SAVE, [_SAVE.row(c.after) for c in changes if c.before is not None])


async def count_keys(tx: Transaction, user_ids: Sequence[UUID]) -> list[KeyRing]:
    rows = await tx.sql(_COUNT, user_ids)
    return [KeyRing(user_id=row["user_id"], count=row["count"], made=tuple(row["made"][::-1])) for row in rows]


async def save_nothing(_tx: Transaction, _changes: Sequence[Change]) -> None:
    """A ring is what its keys are, and sign-ins are what sessions there are."""


async def end_keys(tx: Transaction, changes: Sequence[Change]) -> None:
    """Those too that were made or used in the same batch: they are saved by then."""
    await tx.fetch(_END, ids=[change.after.user_id for change in changes])


# A key names its owner, whose row is locked before the ring is counted: of two keys at once the second one sees both.
KEYS: Rows[Any] = Rows(ApiKey, save=save_keys, load=lock_keys, names=lambda key: ((User, key.user_id),))
RINGS: Rows[Any] = Rows(KeyRing, save=save_nothing, load=count_keys)
ENDED: Rows[Any] = Rows(KeysEnded, save=end_keys)


async def find_api_key(tx: Transaction, key_id: UUID, user_id: UUID) -> ApiKey | None:
    row = await tx.fetch_row(_FIND, id=key_id, user_id=user_id)
    return None if row is None else _key(row)


async def list_api_keys(tx: Transaction, page: Page, user_id: UUID) -> list[ApiKey]:
    """A user's that are not revoked, newest first, up to one more than the page holds."""
    return [_key(row) for row in await _LIST.fetch(tx, page, user_id=[user_id])]


async def forget_api_keys(tx: Transaction, *, kept_for: timedelta, limit: int) -> int:
    """Deletes keys that expired so long ago, and those that were revoked a day ago."""
    expired = await tx.fetch(_FORGET_EXPIRED, kept_for=kept_for, limit=limit)
    return max(len(expired), len(await tx.fetch(_FORGET_REVOKED, limit=limit)))


def _key(row: Record) -> ApiKey:
    return ApiKey(**{**row, "scopes": tuple(row["scopes"])})
