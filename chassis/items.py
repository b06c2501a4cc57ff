"""What waits for the pipeline: commands with their callers, parcels with their subscribers, deferred events."""

from asyncio import Future
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any
from uuid import UUID

from chassis.context import Context
from chassis.database import TooLong
from chassis.decisions import Cause, Rule
from chassis.deferred import ATTEMPTS, Deferred
from chassis.idempotency import Answer, Claim
from contracts.envelope import Envelope, encode

_WAITS = "waits behind an earlier event of the same subject"


class Unavailable(Exception):
    """The database cannot be reached, or too much is waiting. Ask again."""


@dataclass(eq=False, slots=True)
class Command:
    """A command and the caller who waits for its answer, but not beyond ``until`` for it to be taken."""

    body: object
    id: UUID
    actor: str
    context: Context
    claim: Claim | None
    render: Callable[[Any], Answer] | None
    settled: "Future[Any]"
    until: float = inf

    @property
    def size(self) -> int:
        """How many items it is."""
        return 1


@dataclass(eq=False, slots=True)
class Parcel:
    """A parcel and the subscriber that acknowledges it when it is settled."""

    message_id: UUID
    envelopes: Sequence[Envelope[Any]]
    settled: "Future[Any]"

    @property
    def size(self) -> int:
        """How many items it is."""
        return len(self.envelopes)

    @property
    def attempts(self) -> int:
        """How often its events failed before."""
        return 0


@dataclass(eq=False, slots=True)
class Again:
    """A deferred event that is tried again."""

    row: Deferred
    envelope: Envelope[Any]
    settled: "Future[Any]"

    @property
    def size(self) -> int:
        """How many items it is."""
        return 1

    @property
    def message_id(self) -> UUID:
        """The parcel that it came in."""
        return self.row.message_id

    @property
    def attempts(self) -> int:
        """How often it failed before."""
        return self.row.attempts


Entry = Command | Parcel | Again


def goes_alone(entry: Entry) -> bool:
    """Whether it took too long before, so that it would take its neighbours along."""
    return isinstance(entry, Again) and entry.row.error.startswith(TooLong.__name__)


class Waiting:
    """Entries in the order in which they came; ``items`` says how many items they are."""

    def __init__(self) -> None:
        self.items = 0
        self._entries = deque[Entry]()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def put(self, entry: Entry) -> None:
        """Behind all others."""
        self._entries.append(entry)
        self.items += entry.size

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Parcels before all others; everybody else is told to ask again."""
        parcels = [entry for entry in entries if isinstance(entry, Parcel)]
        self._entries.extendleft(reversed(parcels))
        self.items += sum(parcel.size for parcel in parcels)
        for entry in entries:
            if not isinstance(entry, Parcel):
                refuse(entry)

    def take(self, room: int, now: float) -> list[Entry]:
        """What fits, at least one entry; without those whose callers wait for nothing any more."""
        taken: list[Entry] = []
        while self._entries and (room > 0 or not taken):
            if taken and (goes_alone(taken[-1]) or goes_alone(self._entries[0])):
                break
            entry = self._entries.popleft()
            self.items -= entry.size
            if isinstance(entry, Command) and entry.until < now:
                refuse(entry)
            if not entry.settled.done():
                taken.append(entry)
                room -= entry.size
        return taken


def refuse(entry: Entry) -> None:
    """Its caller is told to ask again, unless it was told something before."""
    if not entry.settled.done():
        entry.settled.set_result(Unavailable())


def give_up(entries: Iterable[Entry]) -> None:
    """Whoever waits for an answer over HTTP is told in time that nobody knows theirs: the key tells it later."""
    for entry in entries:
        if isinstance(entry, Command) and entry.until < inf:
            refuse(entry)


@dataclass(eq=False, slots=True)
class Item:
    """One thing to decide: a command, or one event with its place in a parcel."""

    body: Any
    rule: Rule
    cause: Cause
    entry: Entry
    envelope: Envelope[Any] | None = None
    index: int = 0

    @property
    def subject(self) -> str:
        """Whom an event is about; empty for a command."""
        return self.envelope.subject if self.envelope else ""

    @property
    def waits_for(self) -> str | None:
        """The subject behind whose deferred events it waits; commands and deferred events wait for nobody."""
        return self.envelope.subject if self.envelope and isinstance(self.entry, Parcel) else None

    def deferred(self, error: str) -> Deferred:
        """The event as it is kept for later: after a failure one attempt is burnt, when it only waits none is.

        Raises:
            TypeError: for a command, which is answered instead.
        """
        if self.envelope is None or isinstance(self.entry, Command):
            raise TypeError(self.body)
        attempts = self.entry.attempts + bool(error)
        return Deferred(
            message_id=self.entry.message_id,
            index=self.index,
            topic=self.envelope.type,
            subject=self.envelope.subject,
            body=encode([self.envelope]).decode(),
            attempts=attempts,
            error=error or _WAITS,
            parked=attempts >= ATTEMPTS,
        )
