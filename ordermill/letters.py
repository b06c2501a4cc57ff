"""Dead letters of several services: found, put back and followed to their end, or discarded."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chassis.acts import Acts
from chassis.database import Database
from chassis.dead_letters import BEGINNING, DeadLetters, Fate, Group, Key, Letter
from chassis.ids import typeid
from ordermill.errors import Failure
from ordermill.interrupts import pause

PAGE = 100
WINDOW = 200  # put back and not yet settled at once: a parking lot of any size floods nobody
LOOKS_EACH = 0.2
FIND = "See what is parked with: ordermill dead list"


@dataclass(frozen=True)
class Choice:
    """What a person chose: items, each a parcel with its place or with all of its places; a group; or everything."""

    items: Sequence[tuple[UUID, int | None]] = ()
    group: str | None = None

    async def pages(self, letters: DeadLetters, database: Database) -> AsyncIterator[list[Key]]:
        """The chosen events that are parked, page by page."""
        for message_id, index in self.items:
            async with database.transaction(read_only=True) as tx:
                found = await letters.find(tx, message_id)
            yield [one.key for one in found if one.state == "parked" and index in {None, one.index}]
        after = BEGINNING
        while not self.items:
            async with database.transaction(read_only=True) as tx:
                found = await letters.page(tx, PAGE, group=self.group, after=after)
            if not found:
                return
            after = found[-1].key
            yield [one.key for one in found]

    async def count(self, databases: Mapping[str, Database]) -> int:
        """How many that are. Raises Failure when a person named what is not there."""
        total = 0
        for service, database in databases.items():
            if self.items:
                total += sum([len(page) async for page in self.pages(DeadLetters(service), database)])
            else:
                total += sum(group.count for group in await groups(service, database) if self._has(group))
        if not total and (self.items or self.group):
            cause = "Nothing is parked under that name."
            raise Failure(cause, FIND)
        return total

    def _has(self, group: Group) -> bool:
        return self.group in {None, group.name}


async def groups(service: str, database: Database, state: str = "parked") -> list[Group]:
    async with database.transaction(read_only=True) as tx:
        return await DeadLetters(service).groups(tx, state)


@dataclass
class Retried:
    """What became of what was put back: put back = settled + parked again + still under way."""

    put_back: int = 0
    settled: int = 0
    parked_again: int = 0
    waiting: set[Key] = field(default_factory=set)

    @property
    def ended(self) -> int:
        return self.settled + self.parked_again


class Retry:
    """Puts chosen events back, a window at a time, and follows each; `stop` ends it between two steps."""

    def __init__(self, choice: Choice, actor: str, stop: asyncio.Event, show: Callable[[int], None]) -> None:
        self.done = Retried()
        self._choice = choice
        self._actor = actor
        self._stop = stop
        self._show = show

    async def run(self, databases: Mapping[str, Database], *, wait: bool) -> Retried:
        """All services, one after the other. What was put back stays so, whenever it ends."""
        for service, database in databases.items():
            letters = DeadLetters(service)
            async for page in self._choice.pages(letters, database):
                if self._stop.is_set():
                    return self.done
                await self._put_back(letters, database, page, wait=wait)
                await self._follow(letters, database, WINDOW - PAGE)
            await self._follow(letters, database, 0)
        return self.done

    async def _put_back(self, letters: DeadLetters, database: Database, page: list[Key], *, wait: bool) -> None:
        async with database.transaction() as tx:
            back = await letters.retry(tx, page, self._actor)
        self.done.put_back += len(back)
        if wait:
            self.done.waiting.update(back)
        else:
            self._show(self.done.put_back)

    async def _follow(self, letters: DeadLetters, database: Database, until: int) -> None:
        """Returns when no more than so many are under way, or it is to stop."""
        while len(self.done.waiting) > until and not await pause(self._stop, LOOKS_EACH):
            async with database.transaction(read_only=True) as tx:
                fates = await letters.fates(tx, list(self.done.waiting))
            self.done.settled += sum(fate is Fate.SETTLED for fate in fates.values())
            self.done.parked_again += sum(fate is Fate.PARKED for fate in fates.values())
            self.done.waiting = {key for key, fate in fates.items() if fate is Fate.WAITS}
            self._show(self.done.ended)


async def discard(choice: Choice, databases: Mapping[str, Database], actor: str, note: str) -> int:
    """Gives the chosen events up; says how many."""
    count = 0
    for service, database in databases.items():
        letters = DeadLetters(service)
        async for page in choice.pages(letters, database):
            async with database.transaction() as tx:
                count += len(await letters.discard(tx, page, actor, note))
    return count


async def story(databases: Mapping[str, Database], message_id: UUID, index: int | None) -> dict[str, Any]:
    """One item with the history of acts upon it, wherever it is or was. Raises Failure when nobody knows it."""
    for service, database in databases.items():
        async with database.transaction(read_only=True) as tx:
            found = await DeadLetters(service).find(tx, message_id)
            acts = await Acts(service).about(tx, message_id)
        letters = [each(service, one) for one in found if index in {None, one.index}]
        told = [act for act in acts if index in {None, act.index} or act.index is None]
        if letters or told:
            return {"service": service, "items": letters, "acts": told}
    cause = "No service knows such an item."
    raise Failure(cause, FIND)


def each(service: str, letter: Letter) -> dict[str, Any]:
    """An item as a person and a program see it."""
    event = _event(letter.body)
    return {
        "id": f"{letter.message_id}:{letter.index}",
        "service": service,
        "state": letter.state,
        "topic": letter.topic,
        "order": _order(event),
        "subject": letter.subject,
        "attempts": letter.attempts,
        "since": letter.created_at,
        "not_before": letter.not_before,
        "group": letter.group,
        "cause": letter.last_error,
        "event": event,
    }


def _event(body: str) -> Any:
    """The event, or the text of a parcel that cannot be read."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return body
    return read[0] if isinstance(read, list) and len(read) == 1 and isinstance(read[0], dict) else body


def _order(event: Any) -> str | None:
    """Which order it is about; what cannot be read says anything, or nothing."""
    data = event.get("data") if isinstance(event, dict) else None
    try:
        return typeid("ord", UUID(data["order_id"])) if isinstance(data, dict) else None
    except (KeyError, ValueError, AttributeError, TypeError):
        return None
