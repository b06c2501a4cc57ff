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
ATTRIBUTE_LENGTH = 255
MESSAGE_BYTES = PARCEL_BYTES + 64 * 1024  # the most that the broker takes: what is told on has its envelope beside

Told = TypeVar("Told", bound=Event)

# CloudEvents 1.0, section 3.1, has no control characters in a text. PostgreSQL cannot keep NUL, nor put a long text
# into an index, and subjects are in one.
Attribute = Annotated[str, Field(max_length=ATTRIBUTE_LENGTH, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Traceparent = Annotated[str, Field(pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")]


class Envelope(Value, Generic[Told]):
    """One event with the attributes that CloudEvents 1.0 and our extensions name."""

    specversion: Attribute = "1.0"
    datacontenttype: Attribute = "application/json"
    id: UUID
    type: Attribute
    source: Attribute
    subject: Attribute
    time: datetime
    dataschema: Attribute
    sequence: Attribute
    correlationid: Attribute
    causationid: UUID
    traceparent: Traceparent | None = None
    tracestate: Attribute | None = None
    data: Told


@cache
def parcels_of(event: type[Event]) -> TypeAdapter[list[Envelope[Event]]]:
    """Reads and writes parcels of this event."""
    # mypy cannot know a type that is chosen at run time; every member is an Envelope of `event`.
    envelope = Annotated[list[Envelope[event]], Field(min_length=1, max_length=PARCEL_EVENTS)]  # type: ignore[valid-type]
    return TypeAdapter(envelope)


def encode(envelopes: Sequence[Envelope[Event]]) -> bytes:
    """One parcel as JSON. All envelopes hold events of one type; attributes without a value are left out.

    Raises:
        IndexError: when there is no envelope.
    """
    return parcels_of(type(envelopes[0].data)).dump_json(list(envelopes), exclude_none=True)


def decode(topic: str, body: bytes) -> list[Envelope[Event]]:
    """The envelopes of one parcel of this topic.

    Raises:
        KeyError: when no event has this topic.
        pydantic.ValidationError: when the body is not a parcel of it.
    """
    return parcels_of(Event.registry[topic]).validate_json(body)


@cache
def dataschema(event: type[Event]) -> str:
    """Name and version of an event's schema in ``contracts/``."""
    return f"/contracts/{event.topic}/{event.schema_version}"
