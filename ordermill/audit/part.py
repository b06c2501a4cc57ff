"""The part of the shop that a question is about: since when, which orders, parcels and shelves. Only what is wanted."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.database import Transaction
from ordermill.audit.question import Question
from ordermill.services import SERVICES

NEWEST = timedelta(seconds=30)
SHELVES = 10  # of each how manieth order: a shelf's journal is as long as the shelf is old, and is added up whole
ENTRIES = 16  # changes of orders that a page holds, at least

_CHANGED = "SELECT id FROM order_service.orders WHERE updated_at >= $1"
# Nothing says when an order changed but the order itself, and its history, which is only ever added to: the newest
# entries are in its last pages.
_LAST_PAGE = "SELECT pg_relation_size('order_service.order_history') / current_setting('block_size')::int"
_CHANGED_LAST = """
    SELECT h.order_id FROM order_service.order_history h WHERE h.ctid >= $1::tid AND h.at >= $2
    GROUP BY h.order_id ORDER BY max(h.at) DESC LIMIT $3
"""
_PLACED_LAST = (
    "SELECT created_at FROM order_service.orders WHERE created_at >= $1 ORDER BY created_at DESC OFFSET $2 LIMIT 1"
)
_SHIPPED = """
    SELECT (shipment ->> 'id')::uuid
    FROM inventory_service.reservations r, jsonb_array_elements(r.shipments) shipment WHERE r.order_id = ANY($1::uuid[])
"""
_SKUS = """
    SELECT DISTINCT line.sku FROM order_service.orders o, jsonb_to_recordset(o.lines) AS line(sku text)
    WHERE o.id = ANY($1::uuid[])
"""
_NEWEST_PARCELS = " UNION ALL ".join(
    f"(SELECT id, count FROM {service}.outbox WHERE id >= $1 ORDER BY id DESC LIMIT $2)"  # noqa: S608 -- our own names
    for service in SERVICES
)
_PARCELS = f"SELECT id FROM ({_NEWEST_PARCELS}) parcels ORDER BY id DESC OFFSET $2 - 1 LIMIT 1"  # noqa: S608 -- written above
_EVENTS = f"""
    SELECT id FROM (SELECT id, sum(count) OVER (ORDER BY id DESC) AS told FROM ({_NEWEST_PARCELS}) parcels) parcels
    WHERE told >= $2 ORDER BY id DESC LIMIT 1
"""  # noqa: S608 -- written above


def first_id(at: datetime) -> UUID:
    """The smallest UUIDv7 of this moment, as `chassis.migrations` cuts its partitions."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


async def part(tx: Transaction, question: Question, wanted: Collection[str]) -> dict[str, Any]:
    """The values of the names that narrow a question (`scope`), as far as they are wanted."""
    [(now,)] = await tx.sql("SELECT now()")
    since = now - (question.recent or question.rest or timedelta())
    given = {
        "first_at": since,
        "first_id": first_id(since),
        "newest_id": first_id(max(since, now - NEWEST)),
        **await _orders(tx, question, since, wanted),
    }
    return given | await _bounds(tx, question.most, given, wanted) if question.most else given


async def _orders(tx: Transaction, question: Question, since: datetime, wanted: Collection[str]) -> dict[str, Any]:
    """Orders, what movements refer to, and skus."""
    named = {"orders", "references", "skus"}.intersection(wanted)
    if not named or not (question.recent or question.rest):
        return dict.fromkeys(named, ())
    orders = await _changed(tx, since, question.most)
    shipped = [row[0] for row in await tx.sql(_SHIPPED, orders)] if "references" in named else []
    of = orders[: max(1, question.most // SHELVES)] if question.most else orders
    skus = [row[0] for row in await tx.sql(_SKUS, of)] if "skus" in named else []
    return {"orders": orders, "references": orders + shipped, "skus": skus}


async def _changed(tx: Transaction, since: datetime, most: int) -> list[UUID]:
    if not most:
        return [row[0] for row in await tx.sql(_CHANGED, since)]
    [(pages,)] = await tx.sql(_LAST_PAGE)
    first = max(0, pages - max(1, most // ENTRIES)), 0
    return [row[0] for row in await tx.sql(_CHANGED_LAST, first, since, most)]


async def _bounds(tx: Transaction, most: int, given: dict[str, Any], wanted: Collection[str]) -> dict[str, Any]:
    """Later beginnings, where there is too much since the one that was asked for."""
    statements = {"first_at": _PLACED_LAST, "first_id": _PARCELS, "newest_id": _EVENTS}
    found = {name: await tx.sql(sql, given[name], most) for name, sql in statements.items() if name in wanted}
    return {name: rows[0][0] for name, rows in found.items() if rows}
