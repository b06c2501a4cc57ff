"""Reservations in the database; what they hold and ship lives in their own row, as JSON."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter
from sqlalchemy import Uuid, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.database import Transaction
from chassis.decisions import Key
from chassis.paging import List, Page
from chassis.statements import Bulk, Statement
from chassis.store import Change
from contracts.types import OrderId
from inventory_service.domain.allocation import Hold
from inventory_service.domain.reservation import Reservation, Shipment, Status
from inventory_service.domain.stock import Stock
from inventory_service.domain.task import Task
from inventory_service.tables import reservations

_AMONG = reservations.c.order_id == any_(bindparam("ids", type_=ARRAY(Uuid)))
_LOCK = Statement(select(reservations).where(_AMONG).order_by(reservations.c.order_id).with_for_update())
_LIST = List(
    select(reservations),
    {reservations.c.created_at: datetime, reservations.c.order_id: UUID},
    reservations.c.status,
    reservations.c.order_id,
)
_INSERT = Bulk.insert(reservations)
_UPDATE = Bulk.update(
    reservations,
    "order_id",
    "status",
    "task_ids",
    "version",
    "updated_at",
    rarely=("customer_id", "holds", "shipments", "returns"),
)
_SHIPMENTS = TypeAdapter(tuple[Shipment, ...])
_HOLDING = frozenset({Status.HELD, Status.COMMITTED})


def _reservation(row: asyncpg.Record) -> Reservation:
    return Reservation(
        id=row["id"],
        order_id=row["order_id"],
        status=Status(row["status"]),
        customer_id=row["customer_id"],
        holds=tuple(Hold(**hold) for hold in row["holds"]),
        task_ids=tuple(map(UUID, row["task_ids"])),
        shipments=_SHIPMENTS.validate_python(row["shipments"]) if row["shipments"] else (),
        returns=row["returns"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def named(reservation: Reservation) -> Iterable[Key]:
    """What giving back or shipping needs: the order's tasks, and the shelves that hold for it."""
    if reservation.status in _HOLDING:
        yield from ((Task, task_id) for task_id in reservation.task_ids)
        yield from ((Stock, hold.sku) for hold in reservation.holds)


async def lock_reservations(tx: Transaction, order_ids: Sequence[OrderId]) -> Iterable[Reservation]:
    return [_reservation(row) for row in await tx.fetch(_LOCK, ids=order_ids)]


async def save_reservations(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_INSERT, [_INSERT.row(c.after) for c in changes if c.before is None])
    changed = [change for change in changes if change.before is not None]
    update = _UPDATE.fitting(changed)
    await tx.run(update, [update.row(change.after) for change in changed])


async def list_reservations(
    tx: Transaction, page: Page, *, statuses: Sequence[Status], order_ids: Sequence[OrderId]
) -> list[Reservation]:
    return [_reservation(row) for row in await _LIST.fetch(tx, page, status=statuses, order_id=order_ids)]
