"""Products in the database, and the offers that reserving reads of them."""

from collections.abc import Iterable, Sequence

import asyncpg
from sqlalchemy import Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.database import Transaction
from chassis.paging import List, Page
from chassis.statements import Bulk, Statement
from chassis.store import Change
from contracts.types import Sku, UnitPrice
from inventory_service.domain.product import Offer, Product
from inventory_service.tables import products

_AMONG = products.c.sku == any_(bindparam("skus", type_=ARRAY(Text)))
_PRODUCTS = select(products).where(_AMONG).order_by(products.c.sku)
_LOCK = Statement(_PRODUCTS.with_for_update())
_FIND = Statement(_PRODUCTS)
_OFFERS = Statement(select(products.c.sku, products.c.active).where(_AMONG))
_SKUS = Statement(
    select(products.c.sku)
    .where(products.c.sku > bindparam("after", type_=Text))
    .order_by(products.c.sku)
    .limit(bindparam("limit"))
)
_VERSIONS = Statement(select(func.coalesce(func.sum(products.c.version), 0).label("count")))
_LIST = List(select(products), {products.c.sku: str}, products.c.active, newest_first=False)
_NEWEST_KEPT = ("sku", "name", "description", "price_amount", "price_currency", "active", "version", "updated_at")
_INSERT = Bulk.insert(products, *_NEWEST_KEPT, "created_at")
_UPDATE = Bulk.update(products, *_NEWEST_KEPT)


def _product(row: asyncpg.Record) -> Product:
    return Product(
        sku=row["sku"],
        name=row["name"],
        description=row["description"],
        price=UnitPrice(amount=row["price_amount"], currency=row["price_currency"]),
        active=row["active"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _row(product: Product) -> tuple[object, ...]:
    price = product.price
    return (
        product.sku,
        product.name,
        product.description,
        price.amount,
        price.currency,
        product.active,
        product.version,
        product.updated_at,
    )


async def lock_products(tx: Transaction, skus: Sequence[Sku]) -> Iterable[Product]:
    return [_product(row) for row in await tx.fetch(_LOCK, skus=skus)]


async def load_offers(tx: Transaction, skus: Sequence[Sku]) -> Iterable[Offer]:
    return [Offer(sku=row["sku"], active=row["active"]) for row in await tx.fetch(_OFFERS, skus=skus)]


async def save_products(tx: Transaction, changes: Sequence[Change]) -> None:
    new = [change.after for change in changes if change.before is None]
    await tx.run(_INSERT, [(*_row(product), product.created_at) for product in new])
    await tx.run(_UPDATE, [_row(change.after) for change in changes if change.before is not None])


async def keep_with_products(_tx: Transaction, _changes: Sequence[Change]) -> None:
    """An offer is a part of its product's row, which is saved with it."""


async def find_product(tx: Transaction, sku: Sku) -> Product | None:
    row = await tx.fetch_row(_FIND, skus=[sku])
    return _product(row) if row else None


async def list_products(tx: Transaction, page: Page, *, active: bool) -> list[Product]:
    return [_product(row) for row in await _LIST.fetch(tx, page, active=[active])]


async def list_skus(tx: Transaction, after: Sku, limit: int) -> list[Sku]:
    return [row["sku"] for row in await tx.fetch(_SKUS, after=after, limit=limit)]


async def count_versions(tx: Transaction) -> int:
    """How many versions of products there have been."""
    row = await tx.fetch_row(_VERSIONS)
    return int(row["count"]) if row else 0
