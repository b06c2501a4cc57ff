"""Idempotency keys: claimed by an advisory lock, remembered in one transaction with the effect (docs/http.md)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from json import JSONEncoder
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel

from chassis.database import Transaction
from chassis.statements import Bulk

_canonical = JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class Answer:
    """What a command is answered over HTTP: a view, or bytes that are written already."""

    body: BaseModel | bytes | None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    replayed: bool = False

    @cached_property
    def content(self) -> bytes:
        """The body's bytes, rendered once."""
        if isinstance(self.body, BaseModel):
            return self.body.model_dump_json().encode()
        return self.body or b""


class Claim(NamedTuple):
    """A key within its scope, and the fingerprint of the request that it stands for."""

    user_id: UUID
    operation: str
    key: str
    fingerprint: bytes

    @property
    def scope(self) -> "Scope":
        """What has to be unique."""
        return self.user_id, self.operation, self.key

    @property
    def lock(self) -> int:
        """The advisory lock's number: 64 signed bits of a hash of the scope."""
        text = f"{self.user_id}\0{self.operation}\0{self.key}"
        return int.from_bytes(sha256(text.encode()).digest()[:8], "big", signed=True)


class KeyInUse(Exception):
    """The first request with this key is still running; ask again in a second."""


class KeyReused(Exception):
    """The key was used for another request; a new request needs a new key."""


def fingerprint(path: str, body: BaseModel) -> bytes:
    """SHA-256 over the path and the canonical body, so that order and spelling of fields do not matter."""
    canonical = _canonical.encode(body.model_dump(mode="json", exclude_none=True))
    return sha256(f"{path}\0{canonical}".encode()).digest()


Scope = tuple[UUID, str, str]
_STORED = ("user_id", "operation", "key", "fingerprint", "status", "headers", "body")
Taken = tuple[Claim, Answer] | KeyInUse | None
Rewritten = Callable[[bytes], bytes]


# What was overwritten has no fingerprint. An answer is as old, to the microsecond, as what was decided with it: it is
# found by that, where to look into all that somebody was answered would take longer than any transaction may.
_TELLS = "SELECT 1 FROM {schema}.idempotency WHERE user_id = $1 AND fingerprint <> '' LIMIT 1"
_TELL = """
    SELECT user_id, operation, key, body FROM {schema}.idempotency WHERE user_id = $1 AND fingerprint <> ''
    LIMIT $2 FOR UPDATE
"""
_TELL_ABOUT = """
    SELECT i.user_id, i.operation, i.key, i.body FROM {schema}.idempotency i
    JOIN unnest($1::uuid[], $2::timestamptz[], $3::text[]) AS v(u, at, id) ON (i.created_at, i.user_id) = (v.at, v.u)
    WHERE i.fingerprint <> '' AND position(convert_to(v.id, 'UTF8') IN i.body) > 0 FOR UPDATE OF i
"""
_OVERWRITE = """
    UPDATE {schema}.idempotency i SET body = v.b, fingerprint = ''
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[]) AS v(u, o, k, b)
    WHERE (i.user_id, i.operation, i.key) = (v.u, v.o, v.k)
"""


class Claims:
    """The keys of one service: who holds them, and what was answered. Rows live 7 days."""

    def __init__(self, schema: str) -> None:
        sqls = (sql.format(schema=schema) for sql in (_TELLS, _TELL, _TELL_ABOUT, _OVERWRITE))
        self._tells, self._tell, self._tell_about, self._overwrite = sqls
        self._lock = (
            "SELECT n, pg_try_advisory_xact_lock(k) AS held FROM unnest($1::bigint[]) WITH ORDINALITY AS v(k, n)"
        )
        self._find = f"""
            SELECT i.user_id, i.operation, i.key, i.fingerprint, i.status, i.headers, i.body
            FROM {schema}.idempotency i
            JOIN unnest($1::uuid[], $2::text[], $3::text[]) AS v(u, o, k)
                ON (i.user_id, i.operation, i.key) = (v.u, v.o, v.k)
        """  # noqa: S608 -- the schema is the service's name
        self._store = Bulk(
            f"{schema}.idempotency",
            _STORED,
            f"""INSERT INTO {schema}.idempotency ({", ".join(_STORED)})
                SELECT u, o, k, f, s, h::jsonb, b
                FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::int[], $6::text[], $7::bytea[])
                    AS v(u, o, k, f, s, h, b)""",  # noqa: S608 -- the schema is the service's name
            json=("headers",),
        )
        self._expire = f"""
            DELETE FROM {schema}.idempotency WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM {schema}.idempotency WHERE created_at < now() - interval '7 days' LIMIT 1000))
            RETURNING 1
        """  # noqa: S608 -- the schema is the service's name

    async def take(self, tx: Transaction, claims: Sequence[Claim]) -> dict[Scope, Taken]:
        """For each scope: what was claimed and answered before, why it cannot run now, or None when it is ours to run.

        Two statements: the second one's snapshot is younger than the locks, and sees what their last holder stored.
        """
        distinct = {claim.scope: claim for claim in claims}
        locks = sorted(await tx.sql(self._lock, [claim.lock for claim in distinct.values()]))
        rows = await tx.sql(self._find, *zip(*distinct, strict=True))
        known = {(row[0], row[1], row[2]): _stored(row) for row in rows}
        free = {scope: None if lock["held"] else KeyInUse() for scope, lock in zip(distinct, locks, strict=True)}
        return free | known

    async def store(self, tx: Transaction, answers: Sequence[tuple[Claim, Answer]]) -> None:
        """Remembers the answers; they are given again to whoever repeats the request."""
        await tx.run(self._store, [(*claim, a.status, dict(a.headers), a.content) for claim, a in answers])

    async def tells(self, tx: Transaction, user_id: UUID) -> bool:
        """Whether anything is kept of what a user asked and was answered, and was not overwritten."""
        return bool(await tx.sql(self._tells, user_id))

    async def overwrite_next(self, tx: Transaction, user_id: UUID, limit: int, rewritten: Rewritten) -> None:
        """Overwrites up to ``limit`` of what was answered to a user, and what they had asked.

        Whoever repeats such a request is told that its key was used for another one.
        """
        await self._write(tx, await tx.sql(self._tell, user_id, limit), rewritten)

    async def overwrite_about(
        self, tx: Transaction, about: Sequence[tuple[UUID, datetime, str]], rewritten: Rewritten
    ) -> None:
        """As ``overwrite_next``, of what was answered to somebody, was decided at a time, and has an id in it."""
        if about:
            await self._write(tx, await tx.sql(self._tell_about, *zip(*about, strict=True)), rewritten)

    async def _write(self, tx: Transaction, rows: Sequence[Any], rewritten: Rewritten) -> None:
        if rows:
            await tx.sql(self._overwrite, *zip(*((*row[:3], rewritten(row[3])) for row in rows), strict=True))

    async def expire(self, tx: Transaction) -> int:
        """Forgets up to a thousand keys that are older than seven days; says how many."""
        return len(await tx.sql(self._expire))


def _stored(row: Any) -> tuple[Claim, Answer]:
    return Claim(*row[:4]), Answer(row["body"], row["status"], row["headers"])


def again(first: Claim, answer: Answer, twin: Claim) -> Answer | Exception:
    """What a repetition is given: the first one's answer, replayed; or that its key was used for another request."""
    same = twin.fingerprint == first.fingerprint
    return Answer(answer.content, answer.status, answer.headers, replayed=True) if same else KeyReused()
