"""The events of all services as one stream: merged in the order of time, the newest of them, and what comes."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from heapq import heappop, heappush
from typing import Any
from uuid import UUID

from chassis.database import Database
from chassis.event_log import PAGE, EventLog, Recorded, Selection
from chassis.ids import typeid

LOOKS_EACH = 0.5
_PREFIXES = {
    "order_id": "ord", "customer_id": "usr", "user_id": "usr", "payment_id": "pay", "refund_id": "rfd",
    "reservation_id": "res", "shipment_id": "shp", "return_id": "ret", "task_id": "tsk", "notification_id": "ntf",
}  # fmt: skip
Event = dict[str, Any]
Databases = Mapping[str, Database]


async def exported(databases: Databases, selection: Selection) -> AsyncIterator[Event]:
    """All selected events, the oldest first; of each service no more than a page is held at once."""
    logs = [_recorded(EventLog(service), database, selection) for service, database in databases.items()]
    heads: list[tuple[datetime, UUID, int, Recorded]] = []
    for number in range(len(logs)):
        await _advance(heads, logs, number)
    while heads:
        *_, number, recorded = heappop(heads)
        for event in events_of(recorded, selection):
            yield event
        await _advance(heads, logs, number)


async def _advance(heads: list[tuple[datetime, UUID, int, Recorded]], logs: Sequence[Any], number: int) -> None:
    if (recorded := await anext(logs[number], None)) is not None:
        heappush(heads, (*recorded.place, number, recorded))


async def _recorded(log: EventLog, database: Database, selection: Selection) -> AsyncIterator[Recorded]:
    async for page in log.pages(database, selection):
        for recorded in page:
            yield recorded


def events_of(recorded: Recorded, selection: Selection) -> Iterator[Event]:
    """The events of a parcel, those about the chosen subject where one was chosen: CloudEvents, as they were told."""
    for event in json.loads(recorded.events or "[]"):
        if selection.subject in {None, event["subject"]}:
            yield event


def as_clients_see(event: Event) -> Event:
    """The event with its ids as the API writes them: ``ord_…`` for the UUID that it was told with."""
    ids: dict[str, str] = {}
    data = _seen(event["data"], ids)
    return event | {"subject": ids.get(event["subject"], event["subject"]), "data": data}


def _seen(value: Any, ids: dict[str, str], name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _seen(each, ids, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_seen(each, ids) for each in value]
    if name in _PREFIXES and value is not None:
        ids[value] = typeid(_PREFIXES[name], UUID(value))
        return ids[value]
    return value


async def newest(databases: Databases, selection: Selection, count: int) -> list[Event]:
    """The last events, the oldest of them first."""
    found: list[Event] = []
    for service, database in databases.items():
        found += await _newest(EventLog(service), database, selection, count)
    return sorted(found, key=_time)[len(found) - count if count < len(found) else 0 :]


async def _newest(log: EventLog, database: Database, selection: Selection, count: int) -> list[Event]:
    found: list[Event] = []
    async with aclosing(log.pages(database, selection, newest_first=True)) as pages:
        while len(found) < count and (page := await anext(pages, None)) is not None:
            found += [event for recorded in page for event in reversed(list(events_of(recorded, selection)))]
    return found[:count]


def _time(event: Event) -> datetime:
    return datetime.fromisoformat(event["time"])


class Follower:
    """What is told from now on, in every service, as its transaction commits; none is missed and none comes twice."""

    def __init__(self, databases: Databases, selection: Selection) -> None:
        self._databases = databases
        self._selection = selection
        self._seen: dict[str, set[UUID]] = {}

    async def start(self) -> None:
        """Whatever has been told until now is not told again."""
        for service, database in self._databases.items():
            async with database.transaction(read_only=True) as tx:
                self._seen[service] = await EventLog(service).recent(tx)

    async def look(self) -> list[Event]:
        """What was told since the last look, the oldest first."""
        found = [await self._told(service, database) for service, database in self._databases.items()]
        return sorted((event for events in found for event in events), key=_time)

    async def _told(self, service: str, database: Database) -> list[Event]:
        log, found = EventLog(service), []
        async with database.transaction(read_only=True) as tx:
            recent = await log.recent(tx)
            new = list(recent - self._seen[service])
            for at in range(0, len(new), PAGE):
                found += await log.find(tx, new[at : at + PAGE])
        self._seen[service] = recent
        topics = self._selection.topics
        chosen = (recorded for recorded in found if topics is None or recorded.topic in topics)
        return [event for recorded in chosen for event in events_of(recorded, self._selection)]

    async def events(self) -> AsyncIterator[Event]:
        """For ever."""
        while True:
            for event in await self.look():
                yield event
            await asyncio.sleep(LOOKS_EACH)
