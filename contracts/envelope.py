"""How events travel: CloudEvents 1.0 in batched JSON; one array of 1 to 100 events is a parcel, one message."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from pydantic import Field, TypeAdapter

from contracts.event import Event
from contracts.types import Value

CONTENT_TYPE = "application/cloudevents-batch+json"
PARCEL_EVENTS = 100
PARCEL_BYTES = 256 * 1024
MESSAGE_BYTES = 4 * PARCEL_BYTES  # the most that the broker takes: one event alone may be larger than a parcel

Told = TypeVar("Told", bound=Event)


class Envelope(Value, Generic[Told]):
    """One event with the attributes that CloudEvents and our extensions name (2-domain.md, the envelope)."""

    specversion: str = "1.0"
    datacontenttype: str = "application/json"
    id: UUID
    type: str
    source: str
    subject: str
    time: datetime
    dataschema: str
    sequence: str
    correlationid: str
    causationid: UUID
    traceparent: str | None = None
    tracestate: str | None = None
    data: Told


@cache
def _parcel(event: type[Event]) -> TypeAdapter[list[Envelope[Event]]]:
    # mypy cannot know a type that is chosen at run time; every member is an Envelope of `event`.
    envelope = Annotated[list[Envelope[event]], Field(min_length=1)]  # type: ignore[valid-type]
    return TypeAdapter(envelope)


def encode(envelopes: Sequence[Envelope[Event]]) -> bytes:
    """One parcel as JSON. All envelopes hold events of one type; attributes without a value are left out.

    Raises:
        IndexError: when there is no envelope.
    """
    return _parcel(type(envelopes[0].data)).dump_json(list(envelopes), exclude_none=True)


def decode(topic: str, body: bytes) -> list[Envelope[Event]]:
    """The envelopes of one parcel of this topic.

    Raises:
        KeyError: when no event has this topic.
        pydantic.ValidationError: when the body is not a parcel of it.
    """
    return _parcel(Event.registry[topic]).validate_json(body)


@cache
def dataschema(event: type[Event]) -> str:
    """Name and version of an event's schema in ``contracts/``."""
    return f"/contracts/{event.topic}/{event.schema_version}"
