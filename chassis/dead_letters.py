"""What a service has parked for a person: grouped by cause, looked at, put back for another try, or discarded.

Nothing here executes an event: what is put back is taken by the service's own runner, in the transaction of its effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from chassis.database import Transaction
from chassis.deferred import ATTEMPTS, STARTS, UNREADABLE
from chassis.ids import new_id

Key = tuple[UUID, int]
BEGINNING: Key = (UUID(int=0), UNREADABLE - 1)

# Ids differ from event to event: without them, all that failed for one reason is one group.
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_LETTERS = f"""
    SELECT d.*, cause, left(md5(concat_ws('|', '$S', topic, cause)), 8) AS "group"
    FROM $S.deferred d,
        LATERAL (SELECT regexp_replace(split_part(last_error, E'\\n', 1), '{_UUID}', '…', 'gi') AS cause) AS c
"""  # noqa: S608 -- the schema is the service's name
_COLUMNS = (
    'message_id, index, topic, subject, body, attempts, state, not_before, last_error, careful, created_at, "group"'
)
_GROUPS = f"""
    SELECT "group", topic, cause, count(*), min(created_at) AS oldest, max(created_at) AS newest,
        max(attempts) AS attempts
    FROM ({_LETTERS}) letters WHERE state = $1 GROUP BY "group", topic, cause ORDER BY count(*) DESC, "group"
"""  # noqa: S608 -- as above
_PAGE = f"""
    SELECT {_COLUMNS} FROM ({_LETTERS}) letters
    WHERE state = $1 AND ($2::text IS NULL OR "group" = $2) AND (message_id, index) > ($3, $4)
    ORDER BY message_id, index LIMIT $5
"""  # noqa: S608 -- as above
_FIND = f"""
    SELECT {_COLUMNS} FROM ({_LETTERS}) letters WHERE message_id = $1 ORDER BY index
"""  # noqa: S608 -- as above
_MINE = """
    mine AS (
        SELECT d.message_id, d.index, act FROM $S.deferred d
        JOIN unnest($1::uuid[], $2::int[], $3::uuid[]) AS v(message_id, index, act) USING (message_id, index)
        WHERE state = 'parked' ORDER BY d.message_id, d.index FOR UPDATE OF d SKIP LOCKED)
"""
# A person's retry is one try: what fails again is parked again at once. What may have killed a process has had its
# starts: it is started once more, apart from others where there is such a place.
_RETRY = f"""
    WITH {_MINE},
    done AS (
        UPDATE $S.deferred d SET state = 'deferred', not_before = now(), attempts = CASE
            WHEN d.index = {UNREADABLE} THEN attempts + 1 WHEN careful THEN {STARTS} ELSE {ATTEMPTS - 1} END
        FROM mine WHERE d.message_id = mine.message_id AND d.index = mine.index
        RETURNING mine.act, d.message_id, d.index, topic, subject, last_error),
    noted AS (
        INSERT INTO $S.acts (id, actor, act, message_id, index, topic, subject, cause, note)
        SELECT act, $4, 'retry', message_id, index, topic, subject, last_error, $5 FROM done)
    SELECT message_id, index FROM done
"""  # noqa: S608 -- as above
_DISCARD = f"""
    WITH {_MINE},
    done AS (
        DELETE FROM $S.deferred d USING mine WHERE d.message_id = mine.message_id AND d.index = mine.index
        RETURNING mine.act, d.message_id, d.index, topic, subject, last_error, body),
    noted AS (
        INSERT INTO $S.acts (id, actor, act, message_id, index, topic, subject, cause, body, note)
        SELECT act, $4, 'discard', message_id, index, topic, subject, last_error, body, $5 FROM done)
    SELECT message_id, index FROM done
"""  # noqa: S608 -- as above
_LEFT = "SELECT message_id, index, state FROM $S.deferred WHERE message_id = ANY($1::uuid[])"


@dataclass(frozen=True, slots=True)
class Group:
    """Events of one topic that failed for one cause; ``name`` stands for them on a command line."""

    name: str
    topic: str
    cause: str
    count: int
    oldest: datetime
    newest: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Letter:
    """One event that waits, or is parked. ``index`` is its place in the parcel, −1 for one that cannot be read."""

    message_id: UUID
    index: int
    topic: str
    subject: str
    body: str
    attempts: int
    state: str
    not_before: datetime
    last_error: str
    careful: bool
    created_at: datetime
    group: str

    @property
    def key(self) -> Key:
        """Parcel and place."""
        return self.message_id, self.index


class Fate(StrEnum):
    """What has become of an event that was put back."""

    WAITS = "waits"
    SETTLED = "settled"
    PARKED = "parked"


class DeadLetters:
    """The dead letters of one service."""

    def __init__(self, service: str) -> None:
        texts = (text.replace("$S", service) for text in (_GROUPS, _PAGE, _FIND, _RETRY, _DISCARD, _LEFT))
        self._groups, self._page, self._find, self._retry, self._discard, self._left = texts

    async def groups(self, tx: Transaction, state: str = "parked") -> list[Group]:
        """What is parked (or, of the state ``deferred``, still tried again by itself) by cause, the largest first."""
        return [Group(*row) for row in await tx.sql(self._groups, state)]

    async def page(
        self, tx: Transaction, limit: int, *, group: str | None = None, after: Key = BEGINNING, state: str = "parked"
    ) -> list[Letter]:
        """The next events in the order of their keys; of one group, or of all for None."""
        return [Letter(**row) for row in await tx.sql(self._page, state, group, *after, limit)]

    async def find(self, tx: Transaction, message_id: UUID) -> list[Letter]:
        """What is kept of a parcel, parked or not."""
        return [Letter(**row) for row in await tx.sql(self._find, message_id)]

    async def retry(self, tx: Transaction, keys: Sequence[Key], actor: str, note: str = "") -> list[Key]:
        """Puts parked events back for one more try, each with an act; says which were still parked."""
        return await self._act(tx, self._retry, keys, actor, note)

    async def discard(self, tx: Transaction, keys: Sequence[Key], actor: str, note: str) -> list[Key]:
        """Gives parked events up. The act keeps what they said, so that nothing is lost for good."""
        return await self._act(tx, self._discard, keys, actor, note)

    async def fates(self, tx: Transaction, keys: Sequence[Key]) -> dict[Key, Fate]:
        """What has become of events that were put back. A parcel that could be read at last is all of its events."""
        rows = await tx.sql(self._left, list({message_id for message_id, _ in keys}))
        return {key: _fate(key, rows) for key in keys}

    async def _act(self, tx: Transaction, statement: str, keys: Sequence[Key], actor: str, note: str) -> list[Key]:
        messages, indexes = [key[0] for key in keys], [key[1] for key in keys]
        return [
            (row[0], row[1])
            for row in await tx.sql(statement, messages, indexes, [new_id() for _ in keys], actor, note)
        ]


def _fate(key: Key, rows: Sequence[Any]) -> Fate:
    message_id, index = key
    states = {state for parcel, place, state in rows if parcel == message_id and index in {place, UNREADABLE}}
    if "deferred" in states:
        return Fate.WAITS
    return Fate.PARKED if states else Fate.SETTLED
