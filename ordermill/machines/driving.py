"""Drives one service's decisions by abstract triggers: things in memory, an item, and what it makes of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any, NamedTuple, get_type_hints
from uuid import UUID

from chassis.app import Service
from chassis.decisions import Cause, Key, State
from contracts.event import Event
from contracts.orders import OrderCancellationRequested, PaymentRequested, RefundRequested
from contracts.payments import PaymentFailed, PaymentSucceeded, RefundFailed, RefundSucceeded
from contracts.stock import CancellationRefused, ShipmentDelivered, ShipmentDispatched
from contracts.types import Money, OrderId, UserId

Things = Mapping[Key, Any]
Abstract = Mapping[str, Any]

ORDER = OrderId(UUID("01900000-0000-7000-8000-000000000001"))
CUSTOMER = UserId(UUID("01900000-0000-7000-8000-000000000002"))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SKUS = ("BOWL", "CUP")
PRICES = (1, 2)
TOTAL = sum(PRICES)
SIZES = {"part": 2, "full": TOTAL}

_ids = count(1)


def new_id() -> UUID:
    return UUID(int=0x01900000_0001_7000_8000_000000000000 + next(_ids))


def euros(amount: int) -> Money:
    return Money(amount=amount, currency="EUR")


class Item(NamedTuple):
    """A command or a fact, and when it is decided upon."""

    item: Any
    at: datetime = NOON


Make = Callable[[Things], Item | None]


@dataclass(frozen=True, kw_only=True)
class Driven:
    """A machine as its domain really is.

    Attributes:
        triggers: for each, what makes its item from the things there are; None where it cannot even be said.
        abstract: what a state is apart from names, times and ids; its `status` first.
    """

    service: Service
    start: Things
    triggers: Mapping[str, Make]
    abstract: Callable[[Things], Abstract]

    def step(self, things: Things, trigger: str) -> tuple[Things, tuple[str, ...]]:
        """The things after the trigger, and what was told. A refusal changes nothing."""
        made = self.triggers[trigger](things)
        return decide(self.service, things, made) if made else (things, ())


def decide(service: Service, things: Things, made: Item) -> tuple[Things, tuple[str, ...]]:
    rule = service.decisions.rules[type(made.item)]
    cause = Cause(id=new_id(), now=made.at, actor="system", correlation_id="machines")
    try:
        decision = rule.decide(State(_loaded(service, things, rule.names(made.item))), made.item, cause)
    except tuple(service.refusals):
        return things, ()
    changes = {(type(thing), thing.key): thing for thing in decision.changes}
    return {**things, **changes}, tuple(told(event) for event in decision.events)


def _loaded(service: Service, things: Things, keys: Iterable[Key]) -> dict[Key, Any]:
    rows = {row.kind: row.names for row in service.store.rows.values()}  # type: ignore[attr-defined] # an SqlStore
    waiting, loaded = list(keys), dict[Key, Any]()
    while waiting:
        key = waiting.pop()
        if key not in loaded:
            thing = loaded[key] = things.get(key)
            names = rows[key[0]]
            waiting.extend(() if thing is None or names is None else names(thing))
    return loaded


def items(service: Service) -> dict[str, Any]:
    """What the service decides upon, by name: ordermill knows of a service what its `main` shows, and no more."""
    return {kind.__name__: kind for kind in service.decisions.rules}


@cache
def fields_of(kind: type) -> dict[str, Any]:
    """The types of an item's fields."""
    return get_type_hints(kind)


def found(things: Things, kind: str) -> list[Any]:
    """The things of one kind, by its name, in the order in which they came to be."""
    return [thing for (each, _key), thing in things.items() if each.__name__ == kind]


def told(event: Event) -> str:  # noqa: PLR0911 -- a table
    """The topic of an event, with what the machines make of it behind colons."""
    match event:
        case PaymentRequested():
            return f"{event.topic}:{event.attempt}:{'card' if event.method else 'later'}"
        case OrderCancellationRequested():
            return f"{event.topic}:{event.phase}:{event.cancel_no}"
        case RefundRequested():
            return f"{event.topic}:{size_of(event.amount) if event.amount else 'all'}"
        case RefundSucceeded() | RefundFailed():
            return f"{event.topic}:{size_of(event.amount)}"
        case PaymentSucceeded() | PaymentFailed():
            return f"{event.topic}:{event.attempt}"
        case CancellationRefused():
            return f"{event.topic}:{event.cancel_no}"
        case ShipmentDispatched() | ShipmentDelivered():
            return f"{event.topic}:{SKUS.index(event.lines[0].sku)}"
    return event.topic


def size_of(money: Money) -> str:
    return next((size for size, amount in SIZES.items() if amount == money.amount), str(money.amount))
