"""Events that could not be handled yet, kept in the database: tried again with backoff, parked after 8 attempts."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from chassis.database import Transaction
from contracts.envelope import ATTRIBUTE_LENGTH

ATTEMPTS = 8
STARTS = 3
LONGEST = 15 * 60.0
LEASE = 10
UNREADABLE = -1
ERROR_LENGTH = 2000
# Classes 22 and 54: PostgreSQL says that it is these values, and no outage.
UNFIT = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)


@dataclass(frozen=True, slots=True)
class Deferred:
    """An event that waits.

    Attributes:
        index: its place in the parcel, −1 for a parcel that cannot be read.
        careful: it came again, so its last reader may have died of it: it runs alone, each start committed first.
    """

    message_id: UUID
    index: int
    topic: str
    subject: str
    body: str
    attempts: int
    error: str
    parked: bool = False
    careful: bool = False

    @property
    def key(self) -> tuple[UUID, int]:
        """Parcel and place."""
        return self.message_id, self.index


def delay(attempts: int) -> timedelta:
    """How long to wait after so many attempts: full jitter under min(2^n s, 15 min)."""
    return timedelta(seconds=random.uniform(0, min(2.0**attempts, LONGEST)))  # noqa: S311 -- jitter is no secret


_ADD = """
INSERT INTO {service}.deferred
    (message_id, index, topic, subject, body, attempts, last_error, state, not_before, careful)
SELECT m, i, t, s, b, a, e, CASE WHEN p THEN 'parked' ELSE 'deferred' END, now() + w, c
FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[], $6::int[], $7::text[], $8::bool[],
        $9::interval[], $10::bool[])
    AS v(m, i, t, s, b, a, e, p, w, c)
ON CONFLICT (message_id, index) DO NOTHING
"""
_TAKE = """
DELETE FROM {service}.deferred d USING unnest($1::uuid[], $2::int[]) AS v(m, i)
WHERE d.message_id = v.m AND d.index = v.i AND d.state = 'deferred' RETURNING d.message_id, d.index
"""
_START = """
UPDATE {service}.deferred SET attempts = attempts + 1,
    state = CASE WHEN attempts + 1 = {starts} OR attempts > {starts} THEN 'parked' ELSE state END,
    last_error = 'its process died, or was stopped, at start ' || attempts + 1,
    not_before = now() + interval '{lease} s'
WHERE message_id = $1 AND index = $2 AND state = 'deferred' AND not_before <= now() RETURNING state
"""
_START_APART = """
UPDATE {service}.deferred SET attempts = attempts + 1,
    last_error = 'its process died, or was stopped, at start ' || attempts,
    not_before = now() + interval '{lease} s'
WHERE message_id = $1 AND index = $2 AND state = 'deferred' AND not_before <= now()
RETURNING CASE WHEN attempts >= {starts} THEN 'apart' ELSE state END
"""
_FIND = """
SELECT message_id, index, topic, subject, body, attempts, last_error, not_before, careful
FROM {service}.deferred WHERE message_id = $1 AND index = $2 AND state = 'deferred'
"""
_UNCOUNT = """
UPDATE {service}.deferred SET attempts = attempts - 1, last_error = $3, not_before = now()
WHERE message_id = $1 AND index = $2 AND state = 'deferred'
"""
_PARK = """
UPDATE {service}.deferred SET state = 'parked', last_error = $3 WHERE message_id = $1 AND index = $2
"""
_DUE = """
SELECT * FROM (
    SELECT DISTINCT ON (subject)
        message_id, index, topic, subject, body, attempts, last_error, not_before, careful
    FROM {service}.deferred WHERE state = 'deferred' ORDER BY subject, message_id, index) first
WHERE not_before <= now() ORDER BY not_before LIMIT $1
"""


class DeferredEvents:
    """The deferred events of one service."""

    def __init__(self, service: str) -> None:
        self._add = _ADD.format(service=service)
        self._take = _TAKE.format(service=service)
        self._start = _START.format(service=service, starts=STARTS, lease=LEASE)
        self._start_apart = _START_APART.format(service=service, starts=STARTS, lease=LEASE)
        self._find = _FIND.format(service=service)
        self._uncount = _UNCOUNT.format(service=service)
        self._park = _PARK.format(service=service)
        self._due = _DUE.format(service=service)

    async def add(self, tx: Transaction, events: Sequence[Deferred]) -> None:
        """Keeps events for later, or for a person when they are parked.

        One that PostgreSQL cannot keep as it is, whatever a message has managed to say, is parked as it can be kept:
        otherwise its batch would fail for ever.
        """
        if events:
            await tx.flush()
            try:
                async with tx.savepoint():
                    await self._keep(tx, events)
            except UNFIT as failure:
                if len(events) == 1:
                    await self._keep(tx, [_fit(events[0], failure)])
                else:
                    for event in events:
                        await self.add(tx, [event])

    async def _keep(self, tx: Transaction, events: Sequence[Deferred]) -> None:
        await tx.sql(self._add, *zip(*map(_row, events), strict=True))

    async def start(self, tx: Transaction, event: Deferred, *, apart: bool = False) -> str:
        """Counts a start of a careful event, to be committed before it runs: ``deferred``, or ``parked`` at the third.

        What a person has put back has three starts behind it, and is parked at the second from then on. Where it can
        be tried ``apart`` from all others, that is what it says from the third start on. ``gone`` when another process
        is done with it, or has started it in the last ten seconds.
        """
        statement = self._start_apart if apart else self._start
        [(state,)] = await tx.sql(statement, event.message_id, event.index) or [("gone",)]
        return str(state)

    async def find(self, tx: Transaction, message_id: UUID, index: int) -> Deferred | None:
        """An event that waits."""
        return next(map(_deferred, await tx.sql(self._find, message_id, index)), None)

    async def uncount(self, tx: Transaction, event: Deferred) -> None:
        """Takes a start back: the process lives, it was the database that went away. An outage burns no attempts."""
        await tx.sql(self._uncount, event.message_id, event.index, event.error)

    async def park(self, tx: Transaction, event: Deferred, error: str) -> None:
        """Leaves an event to a person."""
        await tx.sql(self._park, event.message_id, event.index, _told(error))

    async def take(self, tx: Transaction, events: Sequence[Deferred]) -> set[tuple[UUID, int]]:
        """Removes events that are tried now; says which were still there. They come back when the transaction fails."""
        if not events:
            return set()
        messages, indexes = zip(*(event.key for event in events), strict=True)
        return {(row[0], row[1]) for row in await tx.sql(self._take, messages, indexes)}

    async def due(self, tx: Transaction, limit: int) -> list[Deferred]:
        """The first waiting event of each subject, as far as its time has come."""
        return [_deferred(row) for row in await tx.sql(self._due, limit)]


def _row(event: Deferred) -> tuple[Any, ...]:
    e = event
    return (
        e.message_id, e.index, e.topic, e.subject, e.body, e.attempts, _told(e.error), e.parked, _wait(e), e.careful
    )  # fmt: skip


def _told(error: str) -> str:
    """What a failure says, which may be what somebody sent: pydantic says of an id which character is none."""
    return storable(error[:ERROR_LENGTH])


def _fit(event: Deferred, failure: Exception) -> Deferred:
    """The event with texts that fit any column, parked: it is not as it came, so it is not tried."""
    topic, subject = (storable(text)[:ATTRIBUTE_LENGTH] for text in (event.topic, event.subject))
    error = f"{type(failure).__name__}: it could not be kept as it is. {event.error}"
    return replace(event, topic=topic, subject=subject, body=storable(event.body), error=error, parked=True)


def storable(text: str) -> str:
    """The text with what PostgreSQL takes in no text spelled out."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def _wait(event: Deferred) -> timedelta:
    return timedelta() if event.careful else delay(event.attempts)


def _deferred(row: Any) -> Deferred:
    return Deferred(
        message_id=row["message_id"],
        index=row["index"],
        topic=row["topic"],
        subject=row["subject"],
        body=row["body"],
        attempts=row["attempts"],
        error=row["last_error"],
        careful=row["careful"],
    )
