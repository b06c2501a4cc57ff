"""Overwriting what is kept of a user beside their own row: what works and who they are at once, the rest in pages."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from auth_service.digests import digest_of
from auth_service.domain.erasing import Erasure
from chassis.database import Transaction
from chassis.store import Change, Rows

PAGE = 1000

# Rows that somebody else holds are left for the next page: nobody waits for anybody here.
_CLIENTS = """
    UPDATE auth_service.sessions SET client = NULL WHERE id = ANY(ARRAY(
        SELECT id FROM auth_service.sessions WHERE user_id = ANY($1::uuid[]) AND client IS NOT NULL
        LIMIT $2 FOR UPDATE SKIP LOCKED
    )) RETURNING id
"""
_NAMES = """
    UPDATE auth_service.api_keys SET name = 'erased' WHERE digest = ANY(ARRAY(
        SELECT digest FROM auth_service.api_keys WHERE user_id = ANY($1::uuid[]) AND name <> 'erased'
        LIMIT $2 FOR UPDATE SKIP LOCKED
    )) RETURNING id
"""
_KEYS = """
    UPDATE auth_service.api_keys SET name = 'erased', revoked_at = now()
    WHERE user_id = ANY($1::uuid[]) AND revoked_at IS NULL
"""
_IDENTITIES = "DELETE FROM auth_service.identities WHERE user_id = ANY($1::uuid[])"
_TRIES = "DELETE FROM auth_service.tries WHERE account = ANY($1::bytea[])"
_BEING_ERASED = """
    SELECT id FROM auth_service.users WHERE erase_again_at IS NOT NULL ORDER BY erase_again_at LIMIT $1
"""
_DUE = """
    SELECT id FROM auth_service.users u WHERE erase_again_at <= now()
        AND NOT EXISTS (SELECT FROM auth_service.sessions WHERE user_id = u.id AND client IS NOT NULL)
        AND NOT EXISTS (SELECT FROM auth_service.api_keys WHERE user_id = u.id AND name <> 'erased')
    ORDER BY erase_again_at LIMIT $1
"""


async def erase(tx: Transaction, changes: Sequence[Change]) -> None:
    erased = [change.after for change in changes]
    ids = [each.user_id for each in erased]
    for statement in (_KEYS, _IDENTITIES):
        await tx.sql(statement, ids)
    await tx.sql(_TRIES, [digest_of(each.email) for each in erased])
    await erase_more(tx, ids)


ROWS: tuple[Rows[Any], ...] = (Rows(Erasure, save=erase),)


async def erase_more(tx: Transaction, user_ids: Sequence[UUID]) -> bool:
    """Overwrites a page of what these users' sessions and keys say of them; True when there may be more."""
    clients = await tx.sql(_CLIENTS, user_ids, PAGE)
    return PAGE in {len(clients), len(await tx.sql(_NAMES, user_ids, PAGE))}


async def find_being_erased(tx: Transaction, *, limit: int) -> list[UUID]:
    """Who is erased and was not told of again, the first ones first."""
    return [row["id"] for row in await tx.sql(_BEING_ERASED, limit)]


async def find_erased(tx: Transaction, *, limit: int) -> list[UUID]:
    """Who was erased so long ago that it has to be told again, and has nothing left to be overwritten."""
    return [row["id"] for row in await tx.sql(_DUE, limit)]
