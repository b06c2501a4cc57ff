"""Overwriting what is kept of a user beside their own row."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from auth_service.digests import digest_of
from auth_service.domain.erasing import Erasure
from chassis.database import Transaction
from chassis.store import Change, Rows

_SESSIONS = "UPDATE auth_service.sessions SET client = NULL WHERE user_id = ANY($1::uuid[]) AND client IS NOT NULL"
_KEYS = """
    UPDATE auth_service.api_keys SET name = 'erased', revoked_at = coalesce(revoked_at, now())
    WHERE user_id = ANY($1::uuid[])
"""
_IDENTITIES = "DELETE FROM auth_service.identities WHERE user_id = ANY($1::uuid[])"
_TRIES = "DELETE FROM auth_service.tries WHERE account = ANY($1::bytea[])"
_DUE = """
    SELECT id FROM auth_service.users WHERE erase_again_at <= now() ORDER BY erase_again_at LIMIT $1
"""


async def erase(tx: Transaction, changes: Sequence[Change]) -> None:
    erased = [change.after for change in changes]
    for statement in (_SESSIONS, _KEYS, _IDENTITIES):
        await tx.sql(statement, [each.user_id for each in erased])
    await tx.sql(_TRIES, [digest_of(each.email) for each in erased])


ROWS: tuple[Rows[Any], ...] = (Rows(Erasure, save=erase),)


async def find_erased(tx: Transaction, *, limit: int) -> list[UUID]:
    """Who was erased so long ago that it has to be told again."""
    return [row["id"] for row in await tx.sql(_DUE, limit)]
