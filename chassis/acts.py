"""The acts of people: what was retried, discarded or told again, when, by whom and why. Added, never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from chassis.database import Transaction
from chassis.ids import new_id


@dataclass(frozen=True, slots=True)
class Act:
    """One act. ``index`` is a place in the parcel, −1 for one that cannot be read, None for a parcel as a whole."""

    at: datetime
    actor: str
    act: str
    index: int | None
    topic: str
    subject: str | None
    cause: str
    body: str | None
    note: str


class Why(NamedTuple):
    """Who acts, what made them, and what they say about it."""

    actor: str
    cause: str = ""
    note: str = ""


class Acts:
    """The acts upon one service. Its role may add rows to the table and read them, a trigger refuses the rest."""

    def __init__(self, service: str) -> None:
        self._about = f"""
            SELECT at, actor, act, index, topic, subject, cause, body, note FROM {service}.acts
            WHERE message_id = $1 ORDER BY at, id
        """  # noqa: S608 -- the schema is the service's name
        self._add = f"""
            INSERT INTO {service}.acts (id, actor, act, message_id, topic, cause, note)
            SELECT i, $5, $4, m, t, $6, $7 FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS v(i, m, t)
        """  # noqa: S608 -- as above

    async def about(self, tx: Transaction, message_id: UUID) -> list[Act]:
        """What was done about a parcel, the oldest first."""
        return [Act(*row) for row in await tx.sql(self._about, message_id)]

    async def add(self, tx: Transaction, act: str, parcels: Sequence[tuple[UUID | None, str]], why: Why) -> None:
        """One act for each parcel and its topic; a parcel of None stands for the topic as a whole."""
        rows = [(new_id(), parcel, topic) for parcel, topic in parcels]
        await tx.sql(self._add, *zip(*rows, strict=True), act, *why)
