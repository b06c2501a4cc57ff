"""What things cost: the replica of inventory_service's products, and the lines of an order with their prices."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from contracts.stock import ProductUpserted
from contracts.types import Money, OrderedLine
from order_service.domain.order import Line

Fault = tuple[str, str, str]


class SkuUnknown(Exception):
    """A sku is not for sale."""

    def __init__(self, faults: Iterable[tuple[int, str]]) -> None:
        super().__init__()
        self.errors: tuple[Fault, ...] = tuple(
            (f"#/lines/{index}/sku", "sku_unknown", f"{sku} is not for sale") for index, sku in faults
        )


class CurrencyMismatch(Exception):
    """An order has one currency."""

    def __init__(self, pointers: Iterable[str], currency: str) -> None:
        super().__init__()
        self.errors: tuple[Fault, ...] = tuple(
            (pointer, "currency_mismatch", f"not in {currency}") for pointer in pointers
        )


class PriceChanged(Exception):
    """The total is not what was expected."""

    def __init__(self, total: Money) -> None:
        super().__init__(f"The total is {total.amount} {total.currency} now, in minor units.")
        self.total = total
        self.errors: tuple[Fault, ...] = (("#/expected_total", "price_changed", f"{total.amount} {total.currency}"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    sku: str
    name: str
    price: int
    currency: str
    active: bool
    version: int

    @property
    def key(self) -> str:
        return self.sku


@dataclass(frozen=True, slots=True)
class Priced:
    """Lines with the prices of this moment, all in one currency."""

    lines: tuple[Line, ...]
    currency: str

    @property
    def total(self) -> Money:
        return Money(amount=sum(line.total for line in self.lines), currency=self.currency)


def keep(known: Product | None, fact: ProductUpserted) -> Product | None:
    """The product as the fact tells it; None when what is known is as new."""
    if known is not None and known.version >= fact.version:
        return None
    return Product(
        sku=fact.sku,
        name=fact.name,
        price=fact.price.amount,
        currency=fact.price.currency,
        active=fact.active,
        version=fact.version,
    )


def price(lines: tuple[OrderedLine, ...], products: Mapping[str, Product | None]) -> Priced:
    """The lines with prices.

    Raises:
        SkuUnknown: where a product is unknown or archived.
        CurrencyMismatch: when the products have several currencies.
    """
    sold = [_for_sale(products[line.sku]) for line in lines]
    if unknown := [(index, lines[index].sku) for index, product in enumerate(sold) if product is None]:
        raise SkuUnknown(unknown)
    found = [product for product in sold if product is not None]
    currency = found[0].currency
    if others := [f"#/lines/{index}/sku" for index, product in enumerate(found) if product.currency != currency]:
        raise CurrencyMismatch(others, currency)
    return Priced(tuple(_line(line, product) for line, product in zip(lines, found, strict=True)), currency)


def _for_sale(product: Product | None) -> Product | None:
    return product if product is not None and product.active else None


def _line(line: OrderedLine, product: Product) -> Line:
    return Line(line_no=line.line_no, sku=line.sku, name=product.name, quantity=line.quantity, unit_price=product.price)


def check_expected(priced: Priced, expected: Money | None) -> None:
    """Nothing, when the client's total is this one or none was given.

    Raises:
        CurrencyMismatch: when the total is expected in another currency.
        PriceChanged: when it is another amount.
    """
    if expected is None or expected == priced.total:
        return
    if expected.currency != priced.currency:
        raise CurrencyMismatch(["#/expected_total/currency"], priced.currency)
    raise PriceChanged(priced.total)
