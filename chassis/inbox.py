"""The inbox: which parcels were handled, remembered in the transaction of their effect."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import NamedTuple
from uuid import UUID

from chassis.database import Transaction

CLOCK = "SELECT now()"


class Claimed(NamedTuple):
    """The database's clock, the parcels that are new, and the subjects for which an earlier event is deferred."""

    now: datetime
    fresh: frozenset[UUID]
    held_up: frozenset[str]


class Inbox:
    """The inbox of one service."""

    def __init__(self, service: str) -> None:
        self._claim = f"""
            WITH claimed AS (
                INSERT INTO {service}.inbox (message_id) SELECT DISTINCT * FROM unnest($1::uuid[]) ORDER BY 1
                ON CONFLICT DO NOTHING RETURNING message_id)
            SELECT now(), ARRAY(SELECT message_id FROM claimed),
                ARRAY(SELECT DISTINCT subject FROM {service}.deferred
                    WHERE state = 'deferred' AND subject = ANY($2::text[]))
        """  # noqa: S608 -- the schema is the service's name
        self._unheard = f"""
            SELECT m FROM unnest($1::uuid[]) AS m
            WHERE NOT EXISTS (SELECT 1 FROM {service}.inbox WHERE message_id = m)
              AND NOT EXISTS (SELECT 1 FROM {service}.deferred WHERE message_id = m)
              AND NOT EXISTS (SELECT 1 FROM {service}.acts WHERE message_id = m AND act = 'discard')
        """  # noqa: S608 -- as above
        # Two days of grace: tomorrow another day is dropped, and today's housekeeping may not have been yet.
        self._kept_since = f"""
            SELECT least(today - 1, greatest(since, today - days + 2))
            FROM {service}.kept, (SELECT (now() AT TIME ZONE 'UTC')::date) t(today) WHERE parcels = 'inbox'
        """  # noqa: S608 -- as above

    async def claim(self, tx: Transaction, messages: Sequence[UUID], subjects: Sequence[str]) -> Claimed:
        """Takes the parcels for this transaction; one that another transaction holds is waited for.

        Commands alone take nothing: of the inbox, the partitions and what is deferred they need the clock only.
        """
        if not (messages or subjects):
            [(now,)] = await tx.sql(CLOCK)
            return Claimed(now, frozenset(), frozenset())
        [(now, fresh, held_up)] = await tx.sql(self._claim, messages, subjects)
        return Claimed(now, frozenset(fresh), frozenset(held_up))

    async def unheard(self, tx: Transaction, messages: Sequence[UUID]) -> set[UUID]:
        """Those of the parcels that were neither handled, nor kept because they cannot be read, nor then discarded."""
        return {row[0] for row in await tx.sql(self._unheard, messages)}

    async def kept_since(self, tx: Transaction) -> datetime:
        """From when on it is known of a parcel, and will be for a day, whether it was handled: days are forgotten."""
        [(day,)] = await tx.sql(self._kept_since)
        return datetime.combine(day, time(), UTC)
