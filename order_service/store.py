"""Every SQL statement of order_service."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from asyncpg import Record
from pydantic import TypeAdapter
from pydantic_core import from_json, to_json
from sqlalchemy import Text, Uuid, any_, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.database import Transaction
from chassis.idempotency import Claims
from chassis.ids import parse_typeid, typeid
from chassis.paging import List, Page
from chassis.statements import Bulk, Statement
from chassis.store import Change, Rows, SqlStore
from contracts.types import OrderId, UserId
from order_service.domain.erasing import EraseOrders, Erasure
from order_service.domain.history import HistoryEntry
from order_service.domain.life import erased_address
from order_service.domain.order import Order
from order_service.domain.pricing import Product
from order_service.domain.status import OrderStatus
from order_service.tables import erasures, order_history, orders, products

DUE_AT_ONCE = 200
ORDERS_AT_ONCE = 20  # of those of a hundred lines, so that nobody else waits for long, and ANSWERS_AT_ONCE as many
ANSWERS_AT_ONCE = 100
_NOTIFIED_AT_ONCE = 200  # ids of 36 characters and a space: below the 8000 bytes of a notification

_STORED = tuple(field.name for field in fields(Order))
_DERIVED = ("payment_status", "fulfilment_status", "lines_total", "adjustments_total", "total", "due_at")
_ERASABLE = ("shipping_address", "note", "metadata")
_FIXED = ("customer_id", "currency", "lines", "adjustments", "trace_id", "pay_within", "settle_by", "created_at")
_NEW = _STORED + _DERIVED
_MOVING = ("id", "status", "payment_status", "attempt", "pay_by", "due_at", "version", "updated_at", "confirmed_at")
_CHANGING_RARELY = tuple(
    name for name in _NEW if name not in {*_MOVING, *_FIXED, *_ERASABLE, "lines_total", "adjustments_total", "total"}
)

_ORDER = TypeAdapter(Order)
_CLAIMS = Claims("order_service")
_order_columns = tuple(orders.c[name] for name in _STORED)
_ids = bindparam("ids", type_=ARRAY(Uuid))


# --- what decisions look at and change


@dataclass(frozen=True, slots=True)
class Answers:
    """The order to overwrite stored answers; saving it does so.

    They are some that were given to the customer, and those to staff who have paid for these orders.
    """

    customer_id: UserId
    order_ids: tuple[OrderId, ...]

    @property
    def key(self) -> UserId:
        return self.customer_id


_lock_erasures = Statement(
    select(erasures).where(erasures.c.customer_id == any_(_ids)).order_by(erasures.c.customer_id).with_for_update()
)
_save_erasures = Bulk.insert(erasures, conflict="ON CONFLICT (customer_id) DO UPDATE SET reached = excluded.reached")
_end_erasures = Statement(
    delete(erasures).where(erasures.c.customer_id == any_(_ids)).returning(erasures.c.customer_id)
)
_lock_orders = Statement(
    select(*_order_columns).where(orders.c.id == any_(_ids)).order_by(orders.c.id).with_for_update()
)
_payers = Statement(
    select(order_history.c.actor, order_history.c.at, order_history.c.order_id)
    .where(order_history.c.order_id == any_(_ids), order_history.c.cause == "pay_order")
    .where(order_history.c.actor.startswith("usr_", autoescape=True))
)
_find_products = Statement(
    select(products).where(products.c.sku == any_(bindparam("skus", type_=ARRAY(Text)))).order_by(products.c.sku)
)
_insert_orders = Bulk.insert(orders, *_NEW)
_update_orders = Bulk.update(orders, *_MOVING, rarely=_CHANGING_RARELY)
_erase_orders = Bulk.update(orders, "id", *_ERASABLE)
_insert_history = Bulk.insert(order_history)
_upsert_products = Bulk.insert(
    products,
    conflict="""ON CONFLICT (sku) DO UPDATE SET name = excluded.name, price = excluded.price,
        currency = excluded.currency, active = excluded.active, version = excluded.version
        WHERE products.version < excluded.version""",
)


async def lock_erasures(tx: Transaction, ids: Sequence[UUID]) -> Iterable[Erasure]:
    return [Erasure(**row) for row in await tx.fetch(_lock_erasures, ids=ids)]


async def lock_orders(tx: Transaction, ids: Sequence[UUID]) -> Iterable[Order]:
    return [_order(row) for row in await tx.fetch(_lock_orders, ids=ids)]


async def find_products(tx: Transaction, skus: Sequence[str]) -> list[Product]:
    return [Product(**row) for row in await tx.fetch(_find_products, skus=skus)]


async def save_orders(tx: Transaction, changes: Sequence[Change]) -> None:
    """Writes the orders, and tells those who wait for one of them."""
    changed = [change for change in changes if change.before is not None]
    await tx.run(_insert_orders, [_insert_orders.row(change.after) for change in changes if change.before is None])
    update = _update_orders.fitting(changed)
    await tx.run(update, [update.row(change.after) for change in changed])
    erased = [after for before, after in changed if _of_people(before) != _of_people(after)]
    await tx.run(_erase_orders, [_erase_orders.row(order) for order in erased])
    ids = [str(change.after.id) for change in changes]
    parts = (ids[at : at + _NOTIFIED_AT_ONCE] for at in range(0, len(ids), _NOTIFIED_AT_ONCE))
    tx.notify("order_service_changed", *map(" ".join, parts))


def _of_people(order: Order) -> tuple[object, ...]:
    return order.shipping_address, order.note, order.metadata


async def save_history(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_insert_history, [_insert_history.row(change.after) for change in changes])


async def save_products(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_upsert_products, [_upsert_products.row(change.after) for change in changes])


async def save_erasures(tx: Transaction, changes: Sequence[Change]) -> None:
    going_on = [change.after for change in changes if not change.after.is_over]
    await tx.run(_save_erasures, [_save_erasures.row(erasure) for erasure in going_on])
    if over := [change.after.customer_id for change in changes if change.after.is_over]:
        await tx.fetch(_end_erasures, ids=over)


async def erase_answers(tx: Transaction, changes: Sequence[Change]) -> None:
    for answers in (change.after for change in changes):
        paid = await tx.fetch(_payers, ids=answers.order_ids)
        about = [(parse_typeid("usr", actor), at, typeid("ord", order_id)) for actor, at, order_id in paid]
        await _CLAIMS.overwrite_about(tx, about, _erased)
        await _CLAIMS.overwrite_next(tx, answers.customer_id, ANSWERS_AT_ONCE, _erased)


def _erased(body: bytes) -> bytes:
    told = from_json(body) if body else {}
    if (address := told.get("shipping_address")) is None:
        return body
    return to_json(told | {"shipping_address": erased_address(address["country"]), "note": None, "metadata": {}})


def _order(row: Record) -> Order:
    return _ORDER.validate_python(dict(row))


STORE = SqlStore(
    Rows(Erasure, save=save_erasures, load=lock_erasures),
    Rows(Order, save=save_orders, load=lock_orders),
    Rows(HistoryEntry, save=save_history),
    Rows(Answers, save=erase_answers),
    Rows(Product, save=save_products, load=find_products),
)


# --- what is read outside of decisions

_find_order = Statement(select(*_order_columns).where(orders.c.id == bindparam("id", type_=Uuid)))
_history = Statement(
    select(order_history)
    .where(order_history.c.order_id == bindparam("id", type_=Uuid))
    .where(order_history.c.version > bindparam("after"))
    .order_by(order_history.c.version)
    .limit(bindparam("limit"))
)
_due = Statement(
    select(orders.c.id).where(orders.c.due_at <= func.now()).order_by(orders.c.due_at).limit(bindparam("limit"))
)
# Any: one that fails keeps no other from going on.
_erasing = Statement(select(erasures).order_by(func.random()).limit(1))
_next_orders = Statement(
    select(orders.c.id)
    .where(orders.c.customer_id == bindparam("customer_id", type_=Uuid), orders.c.id > bindparam("after", type_=Uuid))
    .order_by(orders.c.id)
    .limit(bindparam("limit"))
)
_count_versions = Statement(select(func.coalesce(func.sum(products.c.version), 0).label("count")))

_LIST = List(
    select(*_order_columns),
    {orders.c.created_at: datetime, orders.c.id: UUID},
    orders.c.customer_id,
    orders.c.status,
)


async def find_order(tx: Transaction, order_id: UUID, owner: UUID | None = None) -> Order | None:
    """The order, if it is this owner's; anybody's for None. Not locked."""
    row = await tx.fetch_row(_find_order, id=order_id)
    return _order(row) if row and owner in {None, row["customer_id"]} else None


async def list_orders(
    tx: Transaction, page: Page, customers: Sequence[UUID] | None, statuses: Sequence[OrderStatus]
) -> list[Order]:
    """The newest orders first, one more than the page holds; of these customers, or everybody's for None."""
    if customers is not None and not customers:
        return []
    return [_order(row) for row in await _LIST.fetch(tx, page, customer_id=customers, status=statuses)]


async def list_history(tx: Transaction, order_id: UUID, after: int, limit: int) -> list[HistoryEntry]:
    """What happened to an order after a version, oldest first."""
    return [HistoryEntry(**row) for row in await tx.fetch(_history, id=order_id, after=after, limit=limit)]


async def list_due(tx: Transaction) -> list[OrderId]:
    """The orders that are past a deadline, the longest first."""
    return [row["id"] for row in await tx.fetch(_due, limit=DUE_AT_ONCE)]


async def next_to_erase(tx: Transaction) -> EraseOrders | None:
    """What is to be erased next, where something is."""
    if (row := await tx.fetch_row(_erasing)) is None:
        return None
    customer_id, after = row
    next_ones = await tx.fetch(_next_orders, customer_id=customer_id, after=after, limit=ORDERS_AT_ONCE)
    order_ids = tuple(row["id"] for row in next_ones)
    is_last = not order_ids and not await _CLAIMS.tells(tx, customer_id)
    return EraseOrders(customer_id=customer_id, after=after, order_ids=order_ids, is_last=is_last)


async def count_versions(tx: Transaction) -> int:
    """How many versions of products the replica has come to know of; 0 when it is empty."""
    row = await tx.fetch_row(_count_versions)
    return int(row["count"]) if row else 0
