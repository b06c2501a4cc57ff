"""Stock, warehouses and the journal of movements in the database."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.database import Transaction
from chassis.paging import List, Page
from chassis.statements import Bulk, Statement
from chassis.store import Change
from contracts.types import OrderId, ShipmentId, Sku
from inventory_service.domain.movement import Kind, Movement, Reason
from inventory_service.domain.stock import Level, Stock, Warehouse
from inventory_service.tables import stock, stock_movements, warehouses

_AMONG = stock.c.sku == any_(bindparam("skus", type_=ARRAY(Text)))
_PRIORITY = func.coalesce(warehouses.c.priority, 0).label("priority")
_LEVELS = (
    select(stock, _PRIORITY)
    .join(warehouses, warehouses.c.code == stock.c.warehouse, isouter=True)
    .where(_AMONG)
    .order_by(stock.c.sku, stock.c.warehouse)
)
_LOCK = Statement(_LEVELS.with_for_update(of=stock))
_FIND = Statement(_LEVELS)
_INSERT = Bulk.insert(stock)
_UPDATE = Bulk.update(stock, "sku", "warehouse", "on_hand", "reserved", "low", "version", "low_told_at")
_SKUS = List(select(stock.c.sku).distinct(), {stock.c.sku: str}, stock.c.low, newest_first=False)

_LOAD_WAREHOUSES = Statement(select(warehouses).where(warehouses.c.code == any_(bindparam("codes", type_=ARRAY(Text)))))
_INSERT_WAREHOUSES = Bulk.insert(warehouses)
_UPDATE_WAREHOUSES = Bulk.update(warehouses, "code", "priority")

_INSERT_MOVEMENTS = Bulk.insert(stock_movements)
_MOVEMENTS = List(
    select(stock_movements),
    {stock_movements.c.created_at: datetime, stock_movements.c.id: UUID},
    stock_movements.c.sku,
)
_SHIPPED_FOR = Statement(
    select(stock_movements.c.order_id)
    .where(stock_movements.c.reference == bindparam("shipment_id"), stock_movements.c.kind == Kind.SHIP.value)
    .limit(1)
)


def _stocks(rows: Iterable[asyncpg.Record]) -> Iterator[Stock]:
    for sku, group in groupby(rows, key=lambda row: row["sku"]):
        levels = sorted((_level(row) for row in group), key=lambda level: (level.priority, level.warehouse))
        yield Stock(sku=sku, levels=tuple(levels))


def _level(row: asyncpg.Record) -> Level:
    return Level(
        warehouse=row["warehouse"],
        priority=row["priority"],
        on_hand=row["on_hand"],
        reserved=row["reserved"],
        backorder_limit=row["backorder_limit"],
        low_threshold=row["low_threshold"],
        low=row["low"],
        version=row["version"],
        low_told_at=row["low_told_at"],
    )


async def lock_stock(tx: Transaction, skus: Sequence[Sku]) -> Iterable[Stock]:
    return _stocks(await tx.fetch(_LOCK, skus=skus))


async def save_stock(tx: Transaction, changes: Sequence[Change]) -> None:
    """One row for each level that changed, however many orders changed it."""
    added: list[tuple[Any, ...]] = []
    changed: list[tuple[Any, ...]] = []
    for before, after in changes:
        known = {level.warehouse: level for level in before.levels} if before else {}
        for level in after.levels:
            if level.warehouse not in known:
                added.append(_row(after.sku, level))
            elif level is not known[level.warehouse]:
                counts = (level.on_hand, level.reserved, level.low, level.version, level.low_told_at)
                changed.append((after.sku, level.warehouse, *counts))
    await tx.run(_INSERT, added)
    await tx.run(_UPDATE, changed)


def _row(sku: Sku, level: Level) -> tuple[Any, ...]:
    return (
        sku,
        level.warehouse,
        level.on_hand,
        level.reserved,
        level.backorder_limit,
        level.low_threshold,
        level.low,
        level.version,
        level.low_told_at,
    )


async def load_warehouses(tx: Transaction, codes: Sequence[str]) -> Iterable[Warehouse]:
    rows = await tx.fetch(_LOAD_WAREHOUSES, codes=codes)
    return [Warehouse(code=row["code"], priority=row["priority"]) for row in rows]


async def save_warehouses(tx: Transaction, changes: Sequence[Change]) -> None:
    rows = [(change.before is None, (change.after.code, change.after.priority)) for change in changes]
    await tx.run(_INSERT_WAREHOUSES, [row for new, row in rows if new])
    await tx.run(_UPDATE_WAREHOUSES, [row for new, row in rows if not new])


async def save_movements(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_INSERT_MOVEMENTS, [_INSERT_MOVEMENTS.row(change.after) for change in changes])


def _movement(row: asyncpg.Record) -> Movement:
    kind, reason = Kind(row["kind"]), Reason(row["reason"]) if row["reason"] else None
    return Movement(**{**row, "kind": kind, "reason": reason})


async def find_stock(tx: Transaction, skus: Sequence[Sku]) -> dict[Sku, Stock]:
    return {each.sku: each for each in _stocks(await tx.fetch(_FIND, skus=skus))}


async def list_stock(tx: Transaction, page: Page, *, low: bool | None) -> list[Stock]:
    rows = await _SKUS.fetch(tx, page, low=None if low is None else [low])
    found = await find_stock(tx, [row["sku"] for row in rows])
    return list(found.values())


async def list_movements(tx: Transaction, page: Page, sku: Sku) -> list[Movement]:
    return [_movement(row) for row in await _MOVEMENTS.fetch(tx, page, sku=[sku])]


async def find_order_of_shipment(tx: Transaction, shipment_id: ShipmentId) -> OrderId | None:
    row = await tx.fetch_row(_SHIPPED_FOR, shipment_id=shipment_id)
    return row["order_id"] if row else None
