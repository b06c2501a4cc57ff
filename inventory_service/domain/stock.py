"""What is on the shelves of each warehouse, what of it is held for orders, and when it runs low."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from contracts.stock import StockLow, StockReplenished
from contracts.types import Sku
from inventory_service.domain.movement import Kind, Movement, Reason, Step
from inventory_service.domain.product import Offer, ProductUnknown

MAIN = "main"
LOW_THRESHOLD = 5

TOLD_AGAIN_AFTER = timedelta(days=1)  # that a shelf is low, as long as nobody fills it

_KINDS = {
    Reason.RECEIVED: Kind.RECEIVE,
    Reason.DAMAGED: Kind.ADJUST,
    Reason.COUNTED: Kind.ADJUST,
    Reason.RETURNED: Kind.RETURN,
    Reason.CORRECTION: Kind.CORRECT,
}

_OF_ORDERS = {Kind.RESERVE, Kind.RELEASE, Kind.SHIP}

Crossing = StockLow | StockReplenished


class StillReserved(Exception):
    """Stock that is held for orders cannot be taken away."""


class WarehouseUnknown(Exception):
    """There is no such warehouse."""

    errors = (("#/warehouse", "validation_failed", "There is no such warehouse."),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Warehouse:
    """Where stock lies. Orders are served from the lowest priority number first."""

    code: str
    priority: int = 0

    @property
    def key(self) -> str:
        return self.code


class Level(NamedTuple):
    """The stock of one sku in one warehouse; ``low_told_at`` is when it was told to be low, if that stands."""

    warehouse: str
    priority: int = 0
    on_hand: int = 0
    reserved: int = 0
    backorder_limit: int = 0
    low_threshold: int = LOW_THRESHOLD
    low: bool = False
    version: int = 1
    low_told_at: datetime | None = None

    @property
    def available(self) -> int:
        return self.on_hand + self.backorder_limit - self.reserved

    def moved(self, movement: Movement) -> "Level":
        on_hand = self.on_hand + movement.delta
        reserved = self.reserved + movement.reserved_delta
        low = on_hand + self.backorder_limit - reserved <= self.low_threshold
        told_at = self._told_at(movement, low=low)
        version = self.version + 1
        return self._replace(on_hand=on_hand, reserved=reserved, low=low, version=version, low_told_at=told_at)

    def _told_at(self, movement: Movement, *, low: bool) -> datetime | None:
        """Orders come and go as customers like: what was told stands for a while, unless staff fill the shelf."""
        told_at = self.low_told_at
        stands = told_at is not None and movement.created_at - told_at < TOLD_AGAIN_AFTER
        if low:
            return told_at if stands else movement.created_at
        return told_at if stands and movement.kind in _OF_ORDERS else None


class Stock(NamedTuple):
    """The stock of one sku in every warehouse that has it, in order of priority."""

    sku: Sku
    levels: tuple[Level, ...]

    @property
    def key(self) -> Sku:
        return self.sku

    @property
    def version(self) -> int:
        return sum(level.version for level in self.levels)

    @property
    def on_hand(self) -> int:
        return sum(level.on_hand for level in self.levels)

    @property
    def reserved(self) -> int:
        return sum(level.reserved for level in self.levels)

    @property
    def available(self) -> int:
        return sum(level.available for level in self.levels)

    def find(self, warehouse: str) -> Level | None:
        return next((level for level in self.levels if level.warehouse == warehouse), None)

    def available_at(self, warehouse: str) -> int:
        level = self.find(warehouse)
        return level.available if level else 0

    def put(self, changed: Level) -> "Stock":
        """The stock with this level in the place of the warehouse's former one."""
        others = [level for level in self.levels if level.warehouse != changed.warehouse]
        levels = sorted((*others, changed), key=lambda level: (level.priority, level.warehouse))
        return Stock(sku=self.sku, levels=tuple(levels))


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustStock:
    """Change what is on the shelf by ``delta``, as staff have seen it; opens the shelf where there is none."""

    sku: Sku
    delta: int
    reason: Reason
    warehouse: str = MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class SetWarehouse:
    """Open a warehouse, or change its place in the order of priority."""

    code: str
    priority: int


def open_warehouse(known: Warehouse | None, code: str) -> Warehouse:
    """The warehouse with this code; the main one needs nobody to open it."""
    if known is None and code != MAIN:
        raise WarehouseUnknown
    return known or Warehouse(code=code)


def adjust(  # noqa: PLR0913 -- the things that one adjustment is decided upon
    known: Stock | None,
    offer: Offer | None,
    warehouse: Warehouse,
    command: AdjustStock,
    *,
    reference: UUID,
    step: Step,
) -> tuple[Stock, Movement, tuple[Crossing, ...]]:
    if offer is None:
        raise ProductUnknown
    stock = known or Stock(sku=command.sku, levels=())
    level = stock.find(warehouse.code) or Level(warehouse=warehouse.code, priority=warehouse.priority, version=0)
    if level.on_hand + command.delta < max(level.reserved - level.backorder_limit, 0):
        message = f"{command.sku}: {level.on_hand} on hand, {level.reserved} of them held for orders."
        raise StillReserved(message)
    kind = _KINDS[command.reason]
    movement = step.movement(kind, reference, command.sku, warehouse.code, delta=command.delta, reason=command.reason)
    (stock,), crossings = move({command.sku: stock.put(level)}, (movement,))
    return stock, movement, crossings


def move(stocks: Mapping[Sku, Stock], movements: Iterable[Movement]) -> tuple[tuple[Stock, ...], tuple[Crossing, ...]]:
    """The stock after these movements, and what is told of its thresholds. Every level they name has to be there."""
    changed: dict[Sku, Stock] = {}
    crossings: list[Crossing] = []
    for movement in movements:
        stock = changed.get(movement.sku) or stocks[movement.sku]
        before = next(level for level in stock.levels if level.warehouse == movement.warehouse)
        after = before.moved(movement)
        changed[movement.sku] = stock.put(after)
        if after.low_told_at is not before.low_told_at:
            crossings.append(_crossing(movement.sku, after))
    return tuple(changed.values()), tuple(crossings)


def _crossing(sku: Sku, level: Level) -> Crossing:
    told = StockLow if level.low_told_at else StockReplenished
    return told(sku=sku, warehouse=level.warehouse, available=level.available, threshold=level.low_threshold)
