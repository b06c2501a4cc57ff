"""Parcels as they come from the broker: read, or kept as rows of ``deferred`` where they cannot be handled at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from chassis.codec import reader
from chassis.deferred import UNREADABLE, Deferred, storable
from chassis.ids import is_to_come, mark, marked_as
from contracts.catalogue import TELLERS, teller
from contracts.envelope import PARCEL_BYTES, Envelope, encode
from contracts.event import Event

_BEGINNING = 4096  # bytes that tell a person what it is: who told it has it still, if it was theirs
_MOST = 2**31 - 1  # that the column of attempts holds
_MARKED = {mark(service): service for service in TELLERS.values()}


@dataclass(frozen=True, slots=True)
class Death:
    """Why the broker gave a message up: the topic it was told under, its reason, and how often it did so."""

    topic: str
    reason: str
    count: int

    @classmethod
    def of(cls, headers: Mapping[str, Any], routing_key: str, queue: str) -> "Death":
        """Read from the header ``x-death``, whose first entry is the newest; without one, somebody put it there.

        Its topic is the routing key, which the broker has checked. What was given up under the policy of an earlier
        release came by the name of the ``queue`` of dead letters, and only its header tells the topic.
        """
        newest = _newest(headers.get("x-death"))
        [topic, *_] = (newest.get("routing-keys") if routing_key == queue else None) or [routing_key]
        count = newest.get("count")
        counted = count if isinstance(count, int) and 0 < count <= _MOST else 1
        return cls(_text(topic), _text(newest.get("reason", "put there by hand")), counted)

    @property
    def cause(self) -> str:
        """As a person reads it."""
        return f"dead-lettered by the broker: {self.reason}"


def _newest(deaths: Any) -> Mapping[str, Any]:
    newest = deaths[0] if isinstance(deaths, list) and deaths else None
    return newest if isinstance(newest, Mapping) else {}


def identity(message_id: str, topic: str) -> UUID:
    """The id that the inbox knows a parcel by.

    Raises:
        ValueError: when it is no id, is of a day to come, or has the mark of a service that does not tell this topic:
            it is one of that service's parcels, or of those to come, which would be taken for known.
    """
    parcel = _begun(UUID(message_id))
    told_by = TELLERS.get(topic.partition(".")[0])  # by the broker's rules: what nobody tells, a person has put there
    if told_by and _MARKED.get(marked_as(parcel), told_by) != told_by:
        message = "a parcel bears the id of another service's"
        raise ValueError(message)
    return parcel


def read(topic: str, body: bytes) -> list[Envelope[Any]]:
    """The events of a parcel.

    Raises:
        KeyError: when no event has this topic.
        ValueError: when the body is not a parcel of it, is larger than any, says that others tell it, or has an id of
            a day to come.
    """
    if len(body) > PARCEL_BYTES:
        message = "larger than any parcel: what it says is told on, and would be more than the broker takes"
        raise ValueError(message)
    envelopes: list[Envelope[Any]] = reader(Event.registry[topic]).validate_json(body)
    told = topic, f"/{teller(topic)}"
    if any((envelope.type, envelope.source) != told for envelope in envelopes):
        message = "an event says that it is another's"
        raise ValueError(message)
    _begun(max(envelope.id for envelope in envelopes))
    return envelopes


def _begun(known: UUID) -> UUID:
    """Its days are partitions, made ahead: a row that waits for one elsewhere would keep it from being made."""
    if is_to_come(known):
        message = "an id is of a day to come"
        raise ValueError(message)
    return known


def unreadable(message_id: str, topic: str, body: bytes, error: str) -> Deferred:
    """A parcel that cannot be read, parked as a whole; of what is larger than any, its beginning."""
    name = _text(topic)
    kept = _text(body if len(body) <= PARCEL_BYTES else body[:_BEGINNING])
    return Deferred(_kept_as(message_id, topic, body), UNREADABLE, name, name, kept, 0, error, parked=True)


def careful(parcel: UUID, envelopes: Sequence[Envelope[Any]]) -> list[Deferred]:
    """The events of a parcel that came again, to be run alone, each start counted."""
    return [_row(parcel, index, envelope, "redelivered", careful=True) for index, envelope in enumerate(envelopes)]


def dead(parcel: UUID, envelopes: Sequence[Envelope[Any]], death: Death) -> list[Deferred]:
    """The events of a parcel that the broker gave up, parked; a person's retry runs each alone, its start counted."""
    return [
        _row(parcel, index, envelope, death.cause, attempts=death.count, careful=True, parked=True)
        for index, envelope in enumerate(envelopes)
    ]


def unpacked(row: Deferred) -> list[Deferred]:
    """The events of a parcel that could not be read and now can.

    Raises:
        KeyError, ValueError: when it still cannot.
    """
    envelopes = read(row.topic, row.body.encode())
    return [_row(row.message_id, index, envelope, "read again") for index, envelope in enumerate(envelopes)]


def _row(parcel: UUID, index: int, envelope: Envelope[Any], error: str, **given: Any) -> Deferred:
    body = encode([envelope]).decode()
    return Deferred(parcel, index, envelope.type, envelope.subject, body, error=error, **{"attempts": 0} | given)


def _kept_as(message_id: str, topic: str, body: bytes) -> UUID:
    try:
        return identity(message_id, topic)
    except ValueError:
        return uuid5(NAMESPACE_OID, f"{message_id}\0{body!r}")


def _text(body: bytes | str) -> str:
    return storable(body if isinstance(body, str) else body.decode("utf-8", "backslashreplace"))
