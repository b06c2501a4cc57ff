"""The outbox: what one transaction tells about one topic, as parcels that never change; the service's event log."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from pydantic_core import to_json

from chassis.codec import writer
from chassis.database import Transaction
from chassis.decisions import Cause
from chassis.ids import marked_id
from chassis.statements import Bulk
from contracts.envelope import PARCEL_BYTES, PARCEL_EVENTS, dataschema
from contracts.event import Event


class Told(NamedTuple):
    """An event on its way out, with what caused it and the version of the aggregate that tells it."""

    event: Event
    cause: Cause
    place: int
    sequence: int


class Relaying(Protocol):
    """The relay of this process."""

    active: bool

    def wake(self) -> None:
        """There is something to carry."""


class Outbox:
    """The outbox of one service. Its rows stay after they are published: audit, replay and restore read them."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.relay: Relaying | None = None
        self._channel = f"{service}_outbox"
        self._add = Bulk(
            f"{service}.outbox",
            ("id", "topic", "events", "count"),
            f"""INSERT INTO {service}.outbox (id, topic, events, count)
                SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[]) ORDER BY 1""",  # noqa: S608 -- the schema is the service's name
        )

    async def add(self, tx: Transaction, told: Sequence[Told]) -> None:
        """Stores what was told, cut into parcels by topic; a relay elsewhere is woken when the transaction commits.

        PostgreSQL commits those who notify one after the other, and each notice is a message: the relay that is active
        in this process is told by ``committed``. One that takes its place meanwhile looks within a second.

        Raises:
            ValueError: when one event alone is larger than a parcel, which none is within the bounds of its fields.
        """
        rows = [row for topic in dict.fromkeys(t.event.topic for t in told) for row in self._parcels(topic, told)]
        if rows:
            await tx.run(self._add, rows)
            if self.relay is None or not self.relay.active:
                tx.notify(self._channel, "")

    def committed(self) -> None:
        """What was added is there for all to see."""
        if self.relay is not None:
            self.relay.wake()

    def _parcels(self, topic: str, told: Iterable[Told]) -> Iterator[tuple[UUID, str, str, int]]:
        waiting = [self._envelope(t) for t in told if t.event.topic == topic]
        for start in range(0, len(waiting), PARCEL_EVENTS):
            for chunk, body in _halve(waiting[start : start + PARCEL_EVENTS]):
                # Not the id of its first event, which whoever knows its cause can tell: they would tell a parcel of
                # their own under it, and the inboxes know this one already (records 0047 and 0067).
                yield marked_id(UUID(chunk[0]["id"]), self.service), topic, body.decode(), len(chunk)

    def _envelope(self, told: Told) -> dict[str, Any]:
        """What ``contracts.envelope.Envelope`` reads."""
        event, cause = told.event, told.cause
        return {
            "specversion": "1.0",
            "datacontenttype": "application/json",
            "id": str(cause.derive(event.topic, told.place)),
            "type": event.topic,
            "source": f"/{self.service}",
            "subject": event.subject,
            "time": _written(cause.now),
            "dataschema": dataschema(type(event)),
            "sequence": str(told.sequence),
            "correlationid": cause.correlation_id,
            "causationid": str(cause.id),
            **({"traceparent": cause.traceparent} if cause.traceparent else {}),
            "data": event,
        }


@lru_cache(1)
def _written(moment: datetime) -> str:
    """As pydantic writes it; all that a batch tells is of one moment."""
    return to_json(moment)[1:-1].decode()


def _halve(chunk: Sequence[dict[str, Any]]) -> Iterator[tuple[Sequence[dict[str, Any]], bytes]]:
    event: type[Event] = type(chunk[0]["data"])
    body = writer(event).to_json(chunk, exclude_none=True)
    if len(body) <= PARCEL_BYTES:
        yield chunk, body
    elif len(chunk) == 1:
        message = f"{chunk[0]['type']} of {len(body)} bytes: no listener would read it, nor would the broker take any"
        raise ValueError(message)
    else:
        middle = len(chunk) // 2
        yield from _halve(chunk[:middle])
        yield from _halve(chunk[middle:])
