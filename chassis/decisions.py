"""What a service author writes for the pipeline: decisions, pure functions from a state and an item to what changes.

The types that a decision names in its signature are its subscription: facts become the queue's bindings.
"""

import typing
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import datetime, timedelta
from types import UnionType
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from chassis.ids import derived_id
from contracts.event import Event

Key = tuple[type, Hashable]
Thing = TypeVar("Thing")


class Aggregate(Protocol):
    """Whatever is loaded, decided upon and saved: immutable, and known by its key within its type."""

    @property
    def key(self) -> Hashable:
        """The identity within the type."""


class Cause(NamedTuple):
    """The circumstances of one item: its id, the batch's one reading of the database's clock, who asked, the trace.

    ``lease`` is for how long what the step makes may be born claimed, to be handed over (``Decision.hands_over``); None
    where no loop of this process takes it over.
    """

    id: UUID
    now: datetime
    actor: str
    correlation_id: str
    traceparent: str | None = None
    lease: timedelta | None = None

    def derive(self, *labels: object) -> UUID:
        """An id that a repetition of this step derives again."""
        return derived_id(self.id, *labels)


class State:
    """What a decision may look at: the things that its item names, as its predecessors in the batch left them."""

    __slots__ = ("_things",)

    def __init__(self, things: Mapping[Key, Any]) -> None:
        self._things = things

    def find(self, kind: type[Thing], key: Hashable) -> Thing | None:
        """The thing with this key, or None where there is none.

        Raises:
            KeyError: when the item did not name the key, so that it was not loaded: a programming error.
        """
        thing: Thing | None = self._things[kind, key]
        return thing


class Decision(NamedTuple):
    """What follows from an item.

    Attributes:
        changes: things as they are now; new ones are added, known ones replaced.
        events: what the world is told, in this order, in the same transaction.
        sequence: the version of the aggregate that tells, after these events.
        reply: what the caller of a command is given.
        ignored: why a fact changed nothing, for the counter of ignored facts.
        hands_over: what was claimed for ``Cause.lease``: this process's loop is given it after the commit.
    """

    changes: tuple[Aggregate, ...] = ()
    events: tuple[Event, ...] = ()
    sequence: int = 1
    reply: object = None
    ignored: str | None = None
    hands_over: tuple[object, ...] = ()


Decide = Callable[[State, Any, Cause], Decision]
Names = Callable[[Any], Iterable[Key]]
Makes = Callable[[Any, Cause], Iterable[Key]]


class Rule(NamedTuple):
    """How items of one type are decided: the keys they name, the decision, and the keys of what it would add."""

    names: Names
    decide: Decide
    makes: Makes | None = None


class Decisions:
    """The decisions of one service, by the type of the item."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.rules: dict[type, Rule] = {}

    def on(self, names: Names, makes: Makes | None = None) -> Callable[[Decide], Decide]:
        """Registers a decision for every type that its second parameter is annotated with.

        ``makes`` gives keys that are derived from the cause: what an item adds under them, its repetition finds there.

        Raises:
            TypeError: on the definition of a second decision for one type.
        """

        def register(decide: Decide) -> Decide:
            _state, item, *_ = typing.get_type_hints(decide).values()
            for kind in typing.get_args(item) if isinstance(item, UnionType) else (item,):
                if self.rules.setdefault(kind, Rule(names, decide, makes)).decide is not decide:
                    message = f"two decisions of {self.service} name {kind.__name__}"
                    raise TypeError(message)
            return decide

        return register

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that the service listens to, sorted."""
        return tuple(sorted(kind.topic for kind in self.rules if issubclass(kind, Event)))
