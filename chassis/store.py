"""How things are loaded and saved, set-wise: in SQL for the shop, in memory for the simulation, by one contract."""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol

from chassis.database import Transaction
from chassis.decisions import Aggregate, Key, Thing


class Change(NamedTuple):
    """A thing as it was loaded, None when it is new, and as it is now."""

    before: Any
    after: Any


Load = Callable[[Transaction, Sequence[Any]], Awaitable[Iterable[Any]]]
Save = Callable[[Transaction, Sequence[Change]], Awaitable[None]]


async def nothing(_tx: Transaction, _keys: Sequence[Any]) -> Iterable[Any]:
    """The load of things that are only ever added."""
    return ()


@dataclass(frozen=True, slots=True)
class Rows(Generic[Thing]):
    """How the things of one type live in the database.

    Attributes:
        kind: their type.
        save: writes the changes, in one or two statements.
        load: reads the things with these keys, given sorted, locking their rows in this order.
        names: the keys of later kinds that a loaded thing names in turn, where it may name any.
    """

    kind: type[Thing]
    save: Save
    load: Load = nothing
    names: Callable[[Thing], Iterable[Key]] | None = None


class Store(Protocol):
    """What the pipeline needs of a service's memory."""

    async def load(self, tx: Any, keys: Iterable[Key]) -> dict[Key, Any]:
        """The things with these keys and with those that they name, locked; None for keys that nothing has."""

    async def save(self, tx: Any, changes: Mapping[Key, Change]) -> None:
        """Writes what changed."""


class SqlStore:
    """Things in the service's own tables. The order of the kinds is the order in which rows are locked."""

    def __init__(self, *rows: Rows[Any]) -> None:
        self.rows = {row.kind: row for row in rows}

    async def load(self, tx: Transaction, keys: Iterable[Key]) -> dict[Key, Any]:
        """One statement a kind, in the order of the kinds; things may name keys of later kinds only.

        Raises:
            KeyError: when a key is of a kind that this store does not hold, or names one of an earlier kind.
        """
        wanted: dict[type, set[Hashable]] = {kind: set() for kind in self.rows}
        for kind, key in keys:
            wanted[kind].add(key)
        loaded: dict[Key, Any] = {}
        for row in self.rows.values():
            if chosen := wanted.pop(row.kind):
                found = list(await row.load(tx, sorted(chosen)))
                loaded |= dict.fromkeys([(row.kind, key) for key in chosen])
                loaded |= {(row.kind, thing.key): thing for thing in found}
                for kind, key in _named(row, found):
                    wanted[kind].add(key)
        return loaded

    async def save(self, tx: Transaction, changes: Mapping[Key, Change]) -> None:
        """One call of ``save`` a kind, in the order of the kinds.

        Raises:
            KeyError: when a thing is of a kind that this store does not hold.
        """
        chosen: dict[type, list[Change]] = {kind: [] for kind in self.rows}
        for (kind, _), change in changes.items():
            chosen[kind].append(change)
        for row in self.rows.values():
            if chosen[row.kind]:
                await row.save(tx, chosen[row.kind])


class MemoryStore:
    """The same things in a dictionary, for the simulation and for tests. The transaction is not used."""

    def __init__(self, *rows: Rows[Any]) -> None:
        self.rows = {row.kind: row for row in rows}
        self.things: dict[Key, Any] = {}

    def add(self, *things: Aggregate) -> None:
        """Puts things there as if they had been saved."""
        self.things.update(((type(thing), thing.key), thing) for thing in things)

    async def load(self, _tx: object, keys: Iterable[Key]) -> dict[Key, Any]:
        """The things with these keys, and with those that they name."""
        loaded: dict[Key, Any] = {}
        waiting = list(keys)
        while waiting:
            key = waiting.pop()
            if key not in loaded:
                row, thing = self.rows[key[0]], self.things.get(key)
                loaded[key] = thing
                waiting.extend(() if thing is None else _named(row, [thing]))
        return loaded

    async def save(self, _tx: object, changes: Mapping[Key, Change]) -> None:
        """Puts the things as they are now.

        Raises:
            KeyError: when a thing is of a kind that this store does not hold.
        """
        if strangers := {kind for kind, _ in changes} - self.rows.keys():
            raise KeyError(*strangers)
        self.things.update((key, change.after) for key, change in changes.items())


def _named(row: Rows[Any], things: Iterable[Any]) -> Iterable[Key]:
    return () if row.names is None else (key for thing in things for key in row.names(thing))
