"""What is held for an order: the life of a reservation, from the order's first fact to its last."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from contracts.event import Event
from contracts.orders import OrderCancellationRequested, OrderConfirmed, OrderCreated
from contracts.stock import CancellationRefused, StockRejected, StockReleased, StockReserved
from contracts.types import (
    Allocation,
    OrderId,
    Priority,
    ReservationId,
    ShipmentId,
    ShippedLine,
    Sku,
    UserId,
    order_number,
)
from inventory_service.domain.allocation import Hold, allocate, missing, summed
from inventory_service.domain.movement import Kind, Movement, Step
from inventory_service.domain.product import Offer
from inventory_service.domain.stock import Stock
from inventory_service.domain.task import DESCRIPTION_LENGTH, Task, TaskKind, TaskStatus, close


class Status(StrEnum):
    """How a reservation stands; void is the tombstone of a cancellation that came first."""

    HELD = "held"
    REJECTED = "rejected"
    VOID = "void"
    RELEASED = "released"
    COMMITTED = "committed"
    CONSUMED = "consumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """What left a warehouse at once."""

    id: ShipmentId
    task_id: UUID
    lines: tuple[ShippedLine, ...]
    carrier: str | None = None
    tracking: str | None = None
    dispatched_at: datetime
    delivered_at: datetime | None = None


class Reservation(NamedTuple):
    """Everything that the shelves and the warehouse know of one order."""

    id: ReservationId
    order_id: OrderId
    status: Status
    created_at: datetime
    updated_at: datetime
    customer_id: UserId | None = None
    holds: tuple[Hold, ...] = ()
    task_ids: tuple[UUID, ...] = ()
    shipments: tuple[Shipment, ...] = ()
    returns: int = 0
    version: int = 1

    @property
    def key(self) -> OrderId:
        return self.order_id

    def moved_to(self, status: Status, at: datetime, **changes: Any) -> "Reservation":
        return self._replace(status=status, version=self.version + 1, updated_at=at, **changes)


class Outcome(NamedTuple):
    """What a step of an order's life leads to. Stock follows from the movements."""

    reservation: Reservation | None
    tasks: tuple[Task, ...] = ()
    movements: tuple[Movement, ...] = ()
    events: tuple[Event, ...] = ()
    ignored: str | None = None


def reserve(
    known: Reservation | None,
    fact: OrderCreated,
    offers: Mapping[Sku, Offer],
    stocks: Mapping[Sku, Stock],
    step: Step,
) -> Outcome:
    """Hold every line or none. An order that was cancelled before it got here holds nothing."""
    if known is not None:
        return _ignored(known)
    wanted = summed(fact.lines)
    if lack := missing(wanted, offers, stocks):
        reason, shortages = lack
        rejected = StockRejected(order_id=fact.order_id, reason=reason, missing=shortages)
        reservation = _first(fact.order_id, Status.REJECTED, step, customer_id=fact.customer_id)
        return Outcome(reservation=reservation, events=(rejected,))
    holds = allocate(wanted, stocks)
    reservation = _first(fact.order_id, Status.HELD, step, customer_id=fact.customer_id, holds=holds)
    reserved = StockReserved(
        order_id=fact.order_id,
        reservation_id=reservation.id,
        allocations=tuple(Allocation(sku=h.sku, quantity=h.quantity, warehouse=h.warehouse) for h in holds),
    )
    return Outcome(
        reservation=reservation,
        movements=tuple(
            step.movement(Kind.RESERVE, fact.order_id, h.sku, h.warehouse, reserved_delta=h.quantity) for h in holds
        ),
        events=(reserved,),
    )


def commit(known: Reservation | None, fact: OrderConfirmed, step: Step) -> Outcome:
    """The money is secured: what is held is to be shipped, by one task for each warehouse."""
    if known is None or known.status is not Status.HELD:
        return _ignored(known)
    warehouses = dict.fromkeys(hold.warehouse for hold in known.holds)
    tasks = tuple(_fulfil(known, warehouse, fact.priority, step) for warehouse in warehouses)
    task_ids = tuple(task.id for task in tasks)
    committed = known.moved_to(Status.COMMITTED, step.at, customer_id=fact.customer_id, task_ids=task_ids)
    return Outcome(reservation=committed, tasks=tasks)


def release(known: Reservation | None, fact: OrderCancellationRequested, tasks: Iterable[Task], step: Step) -> Outcome:
    """Give back what is held, unless some of it has left. A cancellation that comes first leaves a tombstone (void)."""
    match known:
        case None:
            void = _first(fact.order_id, Status.VOID, step)
            return Outcome(reservation=void, events=(StockReleased(order_id=fact.order_id),))
        case Reservation(status=Status.HELD | Status.COMMITTED) if not known.shipments:
            return _released(known, tasks, step)
        case Reservation(status=Status.COMMITTED | Status.CONSUMED):
            shipments = tuple(shipment.id for shipment in known.shipments)
            refused = CancellationRefused(order_id=known.order_id, cancel_no=fact.cancel_no, shipments=shipments)
            return Outcome(reservation=known, events=(refused,))
        case _:
            return Outcome(reservation=known, events=(_told_released(known),))


def _released(known: Reservation, tasks: Iterable[Task], step: Step) -> Outcome:
    return Outcome(
        reservation=known.moved_to(Status.RELEASED, step.at),
        tasks=tuple(close(task, TaskStatus.CANCELLED, step.at) for task in tasks if task.is_open),
        movements=tuple(
            step.movement(Kind.RELEASE, known.order_id, h.sku, h.warehouse, reserved_delta=-h.quantity)
            for h in known.holds
        ),
        events=(_told_released(known),),
    )


def _told_released(known: Reservation) -> StockReleased:
    return StockReleased(order_id=known.order_id, reservation_id=known.id if known.holds else None)


def _ignored(known: Reservation | None) -> Outcome:
    return Outcome(reservation=known, ignored=f"reservation {known.status if known else 'unknown'}")


def _first(
    order_id: OrderId,
    status: Status,
    step: Step,
    *,
    customer_id: UserId | None = None,
    holds: tuple[Hold, ...] = (),
) -> Reservation:
    return Reservation(
        id=ReservationId(step.derive("reservation")),
        order_id=order_id,
        status=status,
        customer_id=customer_id,
        holds=holds,
        created_at=step.at,
        updated_at=step.at,
    )


def _fulfil(known: Reservation, warehouse: str, priority: Priority, step: Step) -> Task:
    lines = (f"{hold.quantity} × {hold.sku}" for hold in known.holds if hold.warehouse == warehouse)
    return Task(
        id=step.derive("task", warehouse),
        kind=TaskKind.FULFIL,
        title=f"Ship order {order_number(known.order_id)}",
        description=f"From {warehouse}: {', '.join(lines)}"[:DESCRIPTION_LENGTH],
        priority=priority,
        order_id=known.order_id,
        warehouse=warehouse,
        created_by="system",
        created_at=step.at,
        updated_at=step.at,
    )
