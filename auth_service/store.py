"""Every SQL statement of auth_service: what decisions load and save, look-ups, lists, signing keys, forgetting."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import (
    ARRAY,
    BindParameter,
    DateTime,
    Integer,
    Interval,
    LargeBinary,
    Table,
    Text,
    Uuid,
    any_,
    bindparam,
    delete,
    func,
    select,
    tuple_,
)

from auth_service.domain.session import Ending, RefreshToken, Session, TokenState
from auth_service.domain.user import EmailClaim, User
from auth_service.tables import refresh_tokens, sessions, signing_keys, users
from chassis.database import Transaction
from chassis.paging import Page
from chassis.statements import Bulk, Statement
from chassis.store import Change, Rows, SqlStore
from chassis.tokens import KeyPair
from contracts.types import Role

_IDS = bindparam("ids", type_=ARRAY(Uuid))
_ID = bindparam("id", type_=Uuid)
_LIMIT = bindparam("limit", type_=Integer)

_CLAIMS = Statement(
    select(users.c.email, users.c.id).where(users.c.email == any_(bindparam("emails", type_=ARRAY(Text))))
)
_LOCK_USERS = Statement(select(users).where(users.c.id == any_(_IDS)).order_by(users.c.id).with_for_update())
_LOCK_SESSIONS = Statement(
    select(sessions).where(sessions.c.id == any_(_IDS)).order_by(sessions.c.id).with_for_update()
)
_LOCK_TOKENS = Statement(
    select(refresh_tokens)
    .where(refresh_tokens.c.digest == any_(bindparam("digests", type_=ARRAY(LargeBinary))))
    .order_by(refresh_tokens.c.digest)
    .with_for_update()
)
_ADD_USERS = Bulk.insert(users)
_SAVE_USERS = Bulk.update(users, *(column.name for column in users.c))
_SAVE_SESSIONS = Bulk.upsert(sessions)
_ADD_TOKENS = Bulk.insert(refresh_tokens)
_SAVE_TOKENS = Bulk.update(refresh_tokens, "digest", "state")

_FIND_USER = Statement(select(users).where(users.c.id == _ID))
_FIND_BY_EMAIL = Statement(select(users).where(users.c.email == bindparam("email", type_=Text)))
_FIND_SESSION_OF = Statement(
    select(sessions.c.user_id, sessions.c.id)
    .join(refresh_tokens, refresh_tokens.c.session_id == sessions.c.id)
    .where(refresh_tokens.c.digest == bindparam("digest", type_=LargeBinary))
)
_LOCK_KEYS = Statement(select(func.pg_advisory_xact_lock(func.hashtext("auth_service.signing_keys"))))
_KEYS = Statement(select(signing_keys.c.private_pem).order_by(signing_keys.c.created_at.desc(), signing_keys.c.kid))
_ADD_KEYS = Bulk.insert(signing_keys, "kid", "private_pem", "public_jwk")

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


async def find_claims(tx: Transaction, emails: Sequence[str]) -> list[EmailClaim]:
    return [EmailClaim(email=row["email"], user_id=row["id"]) for row in await tx.fetch(_CLAIMS, emails=emails)]


async def save_claims(_tx: Transaction, _changes: Sequence[Change]) -> None:
    """The row of the user is the claim, and ``one_account_an_address`` holds it against other processes."""


async def lock_users(tx: Transaction, ids: Sequence[UUID]) -> list[User]:
    return [_user(row) for row in await tx.fetch(_LOCK_USERS, ids=ids)]


async def save_users(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_ADD_USERS, [_row(c.after, _ADD_USERS) for c in changes if c.before is None])
    await tx.run(_SAVE_USERS, [_row(c.after, _SAVE_USERS) for c in changes if c.before is not None])


async def lock_sessions(tx: Transaction, ids: Sequence[UUID]) -> list[Session]:
    return [_session(row) for row in await tx.fetch(_LOCK_SESSIONS, ids=ids)]


async def save_sessions(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_SAVE_SESSIONS, [_row(c.after, _SAVE_SESSIONS) for c in changes])


async def lock_tokens(tx: Transaction, digests: Sequence[bytes]) -> list[RefreshToken]:
    return [_token(row) for row in await tx.fetch(_LOCK_TOKENS, digests=digests)]


async def save_tokens(tx: Transaction, changes: Sequence[Change]) -> None:
    # What is no longer active is said first: at no moment has a session two active tokens.
    await tx.run(_SAVE_TOKENS, [_row(c.after, _SAVE_TOKENS) for c in changes if c.before is not None])
    await tx.run(_ADD_TOKENS, [_row(c.after, _ADD_TOKENS) for c in changes if c.before is None])


# A session names its active token, which has to be revoked when the session ends.
STORE = SqlStore(
    Rows(EmailClaim, save=save_claims, load=find_claims),
    Rows(User, save=save_users, load=lock_users),
    Rows(Session, save=save_sessions, load=lock_sessions, names=lambda session: ((RefreshToken, session.current),)),
    Rows(RefreshToken, save=save_tokens, load=lock_tokens),
)


async def find_user(tx: Transaction, user_id: UUID) -> User | None:
    row = await tx.fetch_row(_FIND_USER, id=user_id)
    return None if row is None else _user(row)


async def find_user_by_email(tx: Transaction, email: str) -> User | None:
    row = await tx.fetch_row(_FIND_BY_EMAIL, email=email)
    return None if row is None else _user(row)


async def find_session_of(tx: Transaction, digest: bytes) -> tuple[UUID, UUID] | None:
    """The user and the session of a refresh token, whatever has become of them."""
    row = await tx.fetch_row(_FIND_SESSION_OF, digest=digest)
    return None if row is None else (row["user_id"], row["id"])


async def list_users(
    tx: Transaction, page: Page, *, emails: Sequence[str], roles: Sequence[Role], disabled: bool | None
) -> list[User]:
    """Newest first, up to one more than the page holds."""
    query = select(users)
    given: dict[str, Any] = {}
    if emails:
        query, given["emails"] = query.where(users.c.email == any_(bindparam("emails", type_=ARRAY(Text)))), emails
    if roles:
        query, given["roles"] = query.where(users.c.role == any_(bindparam("roles", type_=ARRAY(Text)))), roles
    if disabled is not None:
        query = query.where(users.c.disabled_at.is_not(None) if disabled else users.c.disabled_at.is_(None))
    return [_user(row) for row in await _page(tx, query, users, page, given)]


async def list_open_sessions(tx: Transaction, page: Page, user_id: UUID) -> list[Session]:
    """A user's, newest first, up to one more than the page holds."""
    query = (
        select(sessions)
        .join(users, (users.c.id == sessions.c.user_id) & (users.c.generation == sessions.c.generation))
        .where(sessions.c.user_id == _ID, sessions.c.ended_at.is_(None), sessions.c.expires_at > func.now())
    )
    return [_session(row) for row in await _page(tx, query, sessions, page, {"id": user_id})]


async def _page(tx: Transaction, query: Any, table: Table, page: Page, given: dict[str, Any]) -> list[Record]:
    at, ids = table.c.created_at, table.c.id
    query = query.order_by(at.desc(), ids.desc()).limit(_LIMIT)
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


async def take_signing_keys(tx: Transaction) -> list[KeyPair]:
    """The keys to sign with, newest first. The first one is made here, by whichever process comes first."""
    await tx.fetch(_LOCK_KEYS)
    if not (rows := await tx.fetch(_KEYS)):
        first = KeyPair.new()
        await tx.run(_ADD_KEYS, [(first.kid, first.private_pem, first.public_jwk)])
        return [first]
    return [KeyPair.load(row["private_pem"]) for row in rows]


async def forget_sessions(tx: Transaction, *, kept_for: timedelta, limit: int) -> int:
    """Deletes sessions that expired so long ago, with their tokens, and the other sessions' expired tokens."""
    forgotten = await tx.fetch(_FORGET_SESSIONS, kept_for=kept_for, limit=limit)
    return max(len(forgotten), len(await tx.fetch(_FORGET_TOKENS, kept_for=kept_for, limit=limit)))


def _row(thing: object, bulk: Bulk) -> tuple[Any, ...]:
    return tuple(getattr(thing, name) for name in bulk.columns)


def _user(row: Record) -> User:
    return User(**{**row, "role": Role(row["role"])})


def _session(row: Record) -> Session:
    return Session(**{**row, "ending": None if row["ending"] is None else Ending(row["ending"])})


def _token(row: Record) -> RefreshToken:
    return RefreshToken(**{**row, "state": TokenState(row["state"])})
