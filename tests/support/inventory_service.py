"""Builders for inventory_service: products, stock, reservations, tasks, and the facts that move them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from chassis.decisions import Cause, Decision, State
from chassis.ids import derived_id
from chassis.store import Change, MemoryStore
from contracts.event import Event
from contracts.orders import OrderCancellationRequested, OrderConfirmed, OrderCreated
from contracts.types import (
    CancelPhase,
    CancelReason,
    Money,
    OrderedLine,
    OrderId,
    PricedLine,
    Priority,
    UnitPrice,
    UserId,
)
from inventory_service.domain.allocation import Hold
from inventory_service.domain.movement import Step
from inventory_service.domain.product import Offer, Product
from inventory_service.domain.reservation import Reservation, Status
from inventory_service.domain.stock import Level, Stock
from inventory_service.domain.task import Task, TaskKind
from inventory_service.handlers import decisions
from inventory_service.store import ROWS

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 20, 13, 0, tzinfo=UTC)
CAUSE = UUID("0193f000-0000-7000-8000-0000000000ca")
ORDER = OrderId(UUID("0193f000-0000-7000-8000-000000000001"))
CUSTOMER = UserId(UUID("0193f000-0000-7000-8000-0000000000c1"))
RESERVATION = UUID("0193f000-0000-7000-8000-0000000000e5")
TASK = UUID("0193f000-0000-7000-8000-00000000007a")


def a_step(*, at=NOW, order_id=ORDER, actor="order_service", cause=CAUSE) -> Step:
    return Step(derive=partial(derived_id, cause), actor=actor, at=at, order_id=order_id)


def a_product(**given) -> Product:
    made = {
        "sku": "MUG-RED",
        "name": "Red mug",
        "description": "330 ml",
        "price": UnitPrice(amount=1299, currency="EUR"),
    }
    return Product(**{**made, "created_at": NOW, "updated_at": NOW, **given})


def a_level(warehouse="main", **given) -> Level:
    return Level(warehouse=warehouse, **{"low_threshold": 0, **given})


def a_stock(sku="MUG-RED", *levels, **given) -> Stock:
    return Stock(sku=sku, levels=levels or (a_level(**given),))


def stocks(*each) -> dict[str, Stock]:
    return {stock.sku: stock for stock in each}


def offers(*skus) -> dict[str, Offer]:
    return {sku: Offer(sku=sku) for sku in skus}


def an_order_created(*lines, order_id=ORDER) -> OrderCreated:
    ordered = enumerate(lines or (("MUG-RED", 2),), 1)
    return OrderCreated(
        order_id=order_id,
        customer_id=CUSTOMER,
        lines=tuple(OrderedLine(line_no=n, sku=sku, quantity=quantity) for n, (sku, quantity) in ordered),
    )


def an_order_confirmed(*, order_id=ORDER, priority=Priority.MEDIUM) -> OrderConfirmed:
    price = Money(amount=1299, currency="EUR")
    line = PricedLine(line_no=1, sku="MUG-RED", name="Red mug", quantity=2, unit_price=price)
    total = Money(amount=2598, currency="EUR")
    return OrderConfirmed(order_id=order_id, customer_id=CUSTOMER, lines=(line,), total=total, priority=priority)


def a_cancellation(*, order_id=ORDER, phase=CancelPhase.PRE, cancel_no=1) -> OrderCancellationRequested:
    return OrderCancellationRequested(order_id=order_id, phase=phase, reason=CancelReason.CUSTOMER, cancel_no=cancel_no)


def a_hold(sku="MUG-RED", quantity=2, warehouse="main", **given) -> Hold:
    return Hold(sku=sku, quantity=quantity, warehouse=warehouse, **given)


def a_reservation(status=Status.HELD, **given) -> Reservation:
    made = {"id": RESERVATION, "order_id": ORDER, "customer_id": CUSTOMER, "holds": (a_hold(),)}
    return Reservation(**{**made, "status": status, "created_at": NOW, "updated_at": NOW, **given})


def a_task(**given) -> Task:
    made = {"id": TASK, "kind": TaskKind.MANUAL, "title": "Count the mugs", "created_by": "usr_1"}
    return Task(**{**made, "created_at": NOW, "updated_at": NOW, **given})


def a_fulfil_task(**given) -> Task:
    return a_task(**{"kind": TaskKind.FULFIL, "order_id": ORDER, "warehouse": "main", **given})


class Shop:
    """inventory_service on a memory store: decides one item at a time, as its pipeline does."""

    def __init__(self, *things) -> None:
        self.store = MemoryStore(*ROWS)
        self.store.add(*things)
        self.told: list[Event] = []
        self._steps = 0

    async def decide(self, item, *, at=NOW, actor="system") -> Decision:
        self._steps += 1
        rule = decisions.rules[type(item)]
        loaded = await self.store.load(None, rule.names(item))
        decision = rule.decide(State(loaded), item, Cause(derived_id(CAUSE, self._steps), at, actor, "req_1"))
        changes = {(type(thing), thing.key): thing for thing in decision.changes}
        await self.store.save(None, {key: Change(loaded.get(key), thing) for key, thing in changes.items()})
        self.told.extend(decision.events)
        return decision

    def find(self, kind, key):
        return self.store.things.get((kind, key))

    def all(self, kind) -> list:
        return [thing for (known, _), thing in self.store.things.items() if known is kind]

    def levels(self) -> Mapping[tuple[str, str], tuple[int, int]]:
        """On hand and reserved, by sku and warehouse."""
        return {
            (stock.sku, level.warehouse): (level.on_hand, level.reserved)
            for stock in self.all(Stock)
            for level in stock.levels
        }
