"""An event as it travels: in its envelope, told by the service that tells events of its type."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from chassis.ids import new_id
from contracts.catalogue import teller
from contracts.envelope import Envelope, dataschema
from contracts.event import Event

TOLD_AT = datetime(2026, 1, 1, tzinfo=UTC)


def enveloped(event: Event, event_id: UUID | None = None, *, at: datetime = TOLD_AT, source: str = "") -> Envelope[Any]:
    return Envelope(
        id=event_id or new_id(),
        type=event.topic,
        source=f"/{source or teller(event.topic)}",
        subject=event.subject,
        time=at,
        dataschema=dataschema(type(event)),
        sequence="1",
        correlationid="req_1",
        causationid=new_id(),
        data=event,
    )
