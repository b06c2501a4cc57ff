"""A service's outbox as its event log: read page by page in the order of time, followed, and told again."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chassis.acts import Acts, Why
from chassis.database import LONGEST, Database, Transaction

PAGE = 200
# A transaction commits up to so long after the time that its parcels carry: who follows looks back as far.
LATE = timedelta(seconds=LONGEST + 5)
Place = tuple[datetime, UUID]
BEGINNING: Place = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))
END: Place = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=0))

# The selection is applied to a page of bounded size, so that no statement runs long, however little is selected.
_PAGE = """
    SELECT id, topic, created_at, wanted, CASE WHEN wanted AND $8 THEN events END AS events
    FROM (SELECT *, ($5::text[] IS NULL OR topic = ANY($5)) AND ($6::uuid[] IS NULL OR id = ANY($6))
            AND ($7::text IS NULL OR strpos(events, '"subject":"' || $7 || '"') > 0) AS wanted
        FROM (SELECT id, topic, created_at, events FROM {service}.outbox
            WHERE (created_at, id) > ($1, $2) AND (created_at, id) < ($3, $4)
            ORDER BY created_at {order}, id {order} LIMIT {limit}) page) marked
    ORDER BY created_at {order}, id {order}
"""
_RECENT = "SELECT id FROM {service}.outbox WHERE created_at >= now() - $1::interval"
_FIND = """
    SELECT id, topic, created_at, true AS wanted, events FROM {service}.outbox
    WHERE id = ANY($1::uuid[]) ORDER BY created_at, id
"""
# What is still to be published is touched, so that a relay that was frozen with the confirm of a broker that has lost
# its data since cannot mark it any more.
_TELL_AGAIN = """
    WITH before AS (
        SELECT id, published_at IS NOT NULL AS published FROM {service}.outbox WHERE id = ANY($1::uuid[]) FOR UPDATE),
    again AS (
        UPDATE {service}.outbox o SET published_at = NULL, not_before = clock_timestamp(),
            attempts = CASE WHEN published THEN 0 ELSE attempts END
        FROM before WHERE o.id = before.id RETURNING o.id, o.topic, published)
    SELECT id, topic, pg_notify('{service}_outbox', '') FROM again WHERE published
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A parcel in the log. ``events`` is its JSON, None where it was not asked for or not selected."""

    id: UUID
    topic: str
    created_at: datetime
    wanted: bool
    events: str | None

    @property
    def place(self) -> Place:
        """Where it stands in the log."""
        return self.created_at, self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which parcels: told from ``since`` until before ``until``, of these topics, with these ids, about a subject."""

    since: datetime | None = None
    until: datetime | None = None
    topics: Sequence[str] | None = None
    parcels: Sequence[UUID] | None = None
    subject: str | None = None


class EventLog:
    """The event log of one service."""

    def __init__(self, service: str) -> None:
        self.service = service
        self._acts = Acts(service)
        self._forward = _PAGE.format(service=service, order="ASC", limit=PAGE)
        self._backward = _PAGE.format(service=service, order="DESC", limit=PAGE)
        self._recent = _RECENT.format(service=service)
        self._find = _FIND.format(service=service)
        self._again = _TELL_AGAIN.format(service=service)

    async def pages(
        self, database: Database, selection: Selection, *, newest_first: bool = False, bodies: bool = True
    ) -> AsyncGenerator[list[Recorded], None]:
        """The selected parcels, page by page, each read in a transaction of its own."""
        low = (selection.since, BEGINNING[1]) if selection.since else BEGINNING
        high = (selection.until, END[1]) if selection.until else END
        statement = self._backward if newest_first else self._forward
        chosen = selection.topics, selection.parcels, selection.subject
        while True:
            async with database.transaction(read_only=True) as tx:
                page = [Recorded(**row) for row in await tx.sql(statement, *low, *high, *chosen, bodies)]
            if not page:
                return
            yield [recorded for recorded in page if recorded.wanted]
            low, high = (low, page[-1].place) if newest_first else (page[-1].place, high)

    async def recent(self, tx: Transaction) -> set[UUID]:
        """The parcels of the last seconds, as many as a transaction may take from its beginning to its commit."""
        return {row[0] for row in await tx.sql(self._recent, LATE)}

    async def find(self, tx: Transaction, parcels: Sequence[UUID]) -> list[Recorded]:
        """These parcels, the oldest first."""
        return [Recorded(**row) for row in await tx.sql(self._find, parcels)]

    async def tell_again(self, tx: Transaction, parcels: Sequence[UUID], why: Why) -> list[UUID]:
        """Gives parcels back to the relay, with an act for each; says which. What is still to be published is left."""
        told = [(row[0], row[1]) for row in await tx.sql(self._again, parcels)]
        if told:
            await self._acts.add(tx, "replay", told, why)
        return [parcel for parcel, _ in told]
