"""Sessions and their refresh tokens."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import ARRAY, Integer, Interval, LargeBinary, Uuid, any_, bindparam, delete, func, select

from auth_service.domain.lately import MOST
from auth_service.domain.session import Ending, RefreshToken, Session, SignIns, TokenState
from auth_service.store.api_keys import save_nothing
from auth_service.tables import refresh_tokens, sessions, users
from chassis.database import Transaction
from chassis.paging import List, Page
from chassis.statements import Bulk, Statement
from chassis.store import Change, Rows

_ID = bindparam("id", type_=Uuid)
_LIMIT = bindparam("limit", type_=Integer)

_LOCK_SESSIONS = Statement(
    select(sessions)
    .where(sessions.c.id == any_(bindparam("ids", type_=ARRAY(Uuid))))
    .order_by(sessions.c.id)
    .with_for_update()
)
_LOCK_TOKENS = Statement(
    select(refresh_tokens)
    .where(refresh_tokens.c.digest == any_(bindparam("digests", type_=ARRAY(LargeBinary))))
    .order_by(refresh_tokens.c.digest)
    .with_for_update()
)
_SAVE_SESSIONS = Bulk.upsert(sessions)
_ADD_TOKENS = Bulk.insert(refresh_tokens)
_SAVE_TOKENS = Bulk.update(refresh_tokens, "digest", "state")
_FIND_SESSION_OF = Statement(
    select(sessions.c.user_id, sessions.c.id)
    .join(refresh_tokens, refresh_tokens.c.session_id == sessions.c.id)
    .where(refresh_tokens.c.digest == bindparam("digest", type_=LargeBinary))
)
_LATEST = f"""
    SELECT u.id AS user_id, ARRAY(SELECT s.created_at FROM {sessions.fullname} s
        WHERE s.user_id = u.id ORDER BY s.created_at DESC, s.id DESC LIMIT {MOST}) AS began
    FROM unnest($1::uuid[]) AS u(id)
"""  # noqa: S608 -- the table is ours
_OPEN = List(
    select(sessions)
    .join(users, (users.c.id == sessions.c.user_id) & (users.c.generation == sessions.c.generation))
    .where(sessions.c.ended_at.is_(None), sessions.c.expires_at > func.now()),
    {sessions.c.created_at: datetime, sessions.c.id: UUID},
    sessions.c.user_id,
)

_LONG_AGO = func.now() - bindparam("kept_for", type_=Interval)
_FORGET_SESSIONS = Statement(
    delete(sessions)
    .where(sessions.c.id.in_(select(sessions.c.id).where(sessions.c.expires_at < _LONG_AGO).limit(_LIMIT)))
    .returning(sessions.c.id)
)
_FORGET_TOKENS = Statement(
    delete(refresh_tokens)
    .where(
        refresh_tokens.c.digest.in_(
            select(refresh_tokens.c.digest).where(refresh_tokens.c.expires_at < _LONG_AGO).limit(_LIMIT)
        )
    )
    .returning(refresh_tokens.c.digest)
)


async def lock_sessions(tx: Transaction, ids: Sequence[UUID]) -> list[Session]:
    return [_session(row) for row in await tx.fetch(_LOCK_SESSIONS, ids=ids)]


async def save_sessions(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_SAVE_SESSIONS, [_SAVE_SESSIONS.row(c.after) for c in changes])


async def lock_tokens(tx: Transaction, digests: Sequence[bytes]) -> list[RefreshToken]:
    return [_token(row) for row in await tx.fetch(_LOCK_TOKENS, digests=digests)]


async def save_tokens(tx: Transaction, changes: Sequence[Change]) -> None:
    # What is no longer active is said first: at no moment has a session two active tokens.
    await tx.run(_SAVE_TOKENS, [_SAVE_TOKENS.row(c.after) for c in changes if c.before is not None])
    await tx.run(_ADD_TOKENS, [_ADD_TOKENS.row(c.after) for c in changes if c.before is None])


async def count_sign_ins(tx: Transaction, user_ids: Sequence[UUID]) -> list[SignIns]:
    return [SignIns(user_id=row["user_id"], began=tuple(row["began"][::-1])) for row in await tx.sql(_LATEST, user_ids)]


# Whoever counts them has locked their user before.
SIGN_INS: Rows[Any] = Rows(SignIns, save=save_nothing, load=count_sign_ins)
# A session names its active token, which has to be revoked when the session ends.
ROWS: tuple[Rows[Any], ...] = (
    Rows(Session, save=save_sessions, load=lock_sessions, names=lambda session: ((RefreshToken, session.current),)),
    Rows(RefreshToken, save=save_tokens, load=lock_tokens),
)


async def find_session_of(tx: Transaction, digest: bytes) -> tuple[UUID, UUID] | None:
    """The user and the session of a refresh token, whatever has become of them."""
    row = await tx.fetch_row(_FIND_SESSION_OF, digest=digest)
    return None if row is None else (row["user_id"], row["id"])


async def list_open_sessions(tx: Transaction, page: Page, user_id: UUID) -> list[Session]:
    """A user's, newest first, up to one more than the page holds."""
    return [_session(row) for row in await _OPEN.fetch(tx, page, user_id=[user_id])]


async def forget_sessions(tx: Transaction, *, kept_for: timedelta, limit: int) -> int:
    """Deletes sessions that expired so long ago, with their tokens, and the other sessions' expired tokens."""
    forgotten = await tx.fetch(_FORGET_SESSIONS, kept_for=kept_for, limit=limit)
    return max(len(forgotten), len(await tx.fetch(_FORGET_TOKENS, kept_for=kept_for, limit=limit)))


def _session(row: Record) -> Session:
    return Session(**{**row, "ending": None if row["ending"] is None else Ending(row["ending"])})


def _token(row: Record) -> RefreshToken:
    return RefreshToken(**{**row, "state": TokenState(row["state"])})
