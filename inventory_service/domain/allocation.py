"""From which shelves an order is served: one warehouse where one holds it all, else line by line."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from contracts.types import OrderedLine, RejectReason, Shortage, Sku
from inventory_service.domain.product import Offer
from inventory_service.domain.stock import Stock


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Units of one sku in one warehouse that belong to an order, how many of them left, and how many came back."""

    sku: Sku
    warehouse: str
    quantity: int
    shipped: int = 0
    returned: int = 0

    @property
    def outstanding(self) -> int:
        return self.quantity - self.shipped


def summed(lines: Iterable[OrderedLine]) -> dict[Sku, int]:
    wanted: dict[Sku, int] = {}
    for line in lines:
        wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
    return wanted


def missing(
    wanted: Mapping[Sku, int], offers: Mapping[Sku, Offer], stocks: Mapping[Sku, Stock]
) -> tuple[RejectReason, tuple[Shortage, ...]] | None:
    """Why the order cannot be served, and what it lacks; None when there is enough of everything."""
    unknown = [sku for sku in wanted if sku not in offers]
    archived = [sku for sku in wanted if sku in offers and not offers[sku].active]
    short = [sku for sku, quantity in wanted.items() if _available(stocks, sku) < quantity]
    if unknown:
        return RejectReason.SKU_UNKNOWN, tuple(_none_of(wanted, unknown))
    if archived:
        return RejectReason.ARCHIVED, tuple(_none_of(wanted, archived))
    if short:
        return RejectReason.INSUFFICIENT_STOCK, tuple(
            Shortage(sku=sku, requested=wanted[sku], available=_available(stocks, sku)) for sku in short
        )
    return None


def allocate(wanted: Mapping[Sku, int], stocks: Mapping[Sku, Stock]) -> tuple[Hold, ...]:
    """Where each sku is taken from. There has to be enough of everything (``missing`` is None)."""
    # A warehouse that holds everything holds the first sku; no lines, no warehouse.
    for level in next((stocks[sku].levels for sku in wanted), ()):
        if all(stocks[sku].available_at(level.warehouse) >= quantity for sku, quantity in wanted.items()):
            return tuple(
                Hold(sku=sku, warehouse=level.warehouse, quantity=quantity) for sku, quantity in wanted.items()
            )
    return tuple(hold for sku, quantity in wanted.items() for hold in _line(stocks[sku], quantity))


def _line(stock: Stock, quantity: int) -> tuple[Hold, ...]:
    whole = [level for level in stock.levels if level.available >= quantity]
    if whole:
        return (Hold(sku=stock.sku, warehouse=whole[0].warehouse, quantity=quantity),)
    return tuple(_split(stock, quantity))


def _split(stock: Stock, quantity: int) -> Iterator[Hold]:
    for level in stock.levels:
        taken = min(level.available, quantity)
        quantity -= taken
        if taken:
            yield Hold(sku=stock.sku, warehouse=level.warehouse, quantity=taken)


def _available(stocks: Mapping[Sku, Stock], sku: Sku) -> int:
    return stocks[sku].available if sku in stocks else 0


def _none_of(wanted: Mapping[Sku, int], skus: Iterable[Sku]) -> Iterator[Shortage]:
    return (Shortage(sku=sku, requested=wanted[sku], available=0) for sku in skus)
