"""What the shop sells: a product, its price, and the versions that readers of the catalogue follow."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from contracts.stock import ProductUpserted
from contracts.types import Sku, UnitPrice


class SkuTaken(Exception):
    """There is a product with this sku already."""


class ProductUnknown(Exception):
    """There is no product with this sku."""


class ProductChanged(Exception):
    """The product has changed since it was read."""


class Offer(NamedTuple):
    """What reserving has to know of a product: that it exists, and whether it is sold. Read without a lock."""

    sku: Sku
    active: bool = True

    @property
    def key(self) -> Sku:
        return self.sku


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One product. Its sku is its name for machines and never changes."""

    sku: Sku
    name: str
    description: str
    price: UnitPrice
    active: bool = True
    version: int = 1
    created_at: datetime
    updated_at: datetime

    @property
    def key(self) -> Sku:
        return self.sku

    @property
    def offer(self) -> Offer:
        return Offer(sku=self.sku, active=self.active)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateProduct:
    """Put a product into the catalogue."""

    sku: Sku
    name: str
    description: str
    price: UnitPrice
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateProduct:
    """Change what is given, if the product still has this version."""

    sku: Sku
    version: int
    name: str | None = None
    description: str | None = None
    price: UnitPrice | None = None
    active: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveProduct:
    """Take a product from sale. Orders that hold it go on."""

    sku: Sku


@dataclass(frozen=True, slots=True, kw_only=True)
class RepublishProducts:
    """Tell these products again, as they are, for readers whose replica is empty."""

    skus: tuple[Sku, ...]


def create(known: Product | None, command: CreateProduct, at: datetime) -> tuple[Product, tuple[ProductUpserted, ...]]:
    if known is not None:
        raise SkuTaken
    product = Product(
        sku=command.sku,
        name=command.name,
        description=command.description,
        price=command.price,
        active=command.active,
        created_at=at,
        updated_at=at,
    )
    return product, (_told(product),)


def update(known: Product | None, command: UpdateProduct, at: datetime) -> tuple[Product, tuple[ProductUpserted, ...]]:
    if known is None:
        raise ProductUnknown
    if known.version != command.version:
        raise ProductChanged
    wanted = {
        "name": command.name,
        "description": command.description,
        "price": command.price,
        "active": command.active,
    }
    return _changed(known, {name: value for name, value in wanted.items() if value is not None}, at)


def archive(known: Product | None, at: datetime) -> tuple[Product, tuple[ProductUpserted, ...]]:
    if known is None:
        raise ProductUnknown
    return _changed(known, {"active": False}, at)


def republish(products: Iterable[Product | None]) -> tuple[ProductUpserted, ...]:
    return tuple(_told(product) for product in products if product is not None)


def _changed(known: Product, wanted: dict[str, object], at: datetime) -> tuple[Product, tuple[ProductUpserted, ...]]:
    changes = {name: value for name, value in wanted.items() if value != getattr(known, name)}
    if not changes:
        return known, ()
    # The names are fields and the values have their types: both come from UpdateProduct.
    product = replace(known, **changes, version=known.version + 1, updated_at=at)  # type: ignore[arg-type]
    return product, (_told(product),)


def _told(product: Product) -> ProductUpserted:
    return ProductUpserted(
        sku=product.sku,
        name=product.name,
        price=product.price,
        active=product.active,
        version=product.version,
    )
