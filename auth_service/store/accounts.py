"""Users, and whose an address is."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import ARRAY, Text, Uuid, any_, bindparam, select

from auth_service.domain.user import EmailClaim, User
from auth_service.tables import users
from chassis.database import Transaction
from chassis.paging import List, Page
from chassis.statements import Bulk, Statement
from chassis.store import Change, Rows
from contracts.types import Role

_CLAIMS = Statement(
    select(users.c.email, users.c.id).where(users.c.email == any_(bindparam("emails", type_=ARRAY(Text))))
)
_LOCK_USERS = Statement(
    select(users).where(users.c.id == any_(bindparam("ids", type_=ARRAY(Uuid)))).order_by(users.c.id).with_for_update()
)
_ADD_USERS = Bulk.insert(users)
_SAVE_USERS = Bulk.update(users, *(column.name for column in users.c))
_KNOWN = users.c.erased_at.is_(None)
_LIST = List(
    select(users).where(_KNOWN),
    {users.c.created_at: datetime, users.c.id: UUID},
    users.c.email,
    users.c.role,
    users.c.disabled_at.is_not(None).label("disabled"),
)
_FIND_USER = Statement(select(users).where(users.c.id == bindparam("id", type_=Uuid), _KNOWN))
_FIND_BY_EMAIL = Statement(select(users).where(users.c.email == bindparam("email", type_=Text)))


async def find_claims(tx: Transaction, emails: Sequence[str]) -> list[EmailClaim]:
    return [EmailClaim(email=row["email"], user_id=row["id"]) for row in await tx.fetch(_CLAIMS, emails=emails)]


async def save_claims(_tx: Transaction, _changes: Sequence[Change]) -> None:
    """The row of the user is the claim, and ``one_account_an_address`` holds it against other processes."""


async def lock_users(tx: Transaction, ids: Sequence[UUID]) -> list[User]:
    return [_user(row) for row in await tx.fetch(_LOCK_USERS, ids=ids)]


async def save_users(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_ADD_USERS, [_ADD_USERS.row(c.after) for c in changes if c.before is None])
    await tx.run(_SAVE_USERS, [_SAVE_USERS.row(c.after) for c in changes if c.before is not None])


CLAIMS: Rows[Any] = Rows(EmailClaim, save=save_claims, load=find_claims)
USERS: Rows[Any] = Rows(User, save=save_users, load=lock_users)


async def find_user(tx: Transaction, user_id: UUID) -> User | None:
    row = await tx.fetch_row(_FIND_USER, id=user_id)
    return None if row is None else _user(row)


async def find_user_by_email(tx: Transaction, email: str) -> User | None:
    row = await tx.fetch_row(_FIND_BY_EMAIL, email=email)
    return None if row is None else _user(row)


async def list_users(
    tx: Transaction, page: Page, *, emails: Sequence[str], roles: Sequence[Role], disabled: bool | None
) -> list[User]:
    """Newest first, up to one more than the page holds."""
    wanted = None if disabled is None else [disabled]
    return [_user(row) for row in await _LIST.fetch(tx, page, email=emails, role=roles, disabled=wanted)]


def _user(row: Record) -> User:
    return User(**{**row, "role": Role(row["role"])})
