"""What the services ask of PostgreSQL outside of plain writes, answered from memory, by their own statements."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from inventory_service.store import catalogue, reservations, shelves
from inventory_service.store import tasks as task_store
from notification_service import store as notifications
from notification_service.domain.notification import Status
from order_service import store as orders
from payment_service.store import calls, listings, notices, payments
from tests.support.memory.chassis_statements import chassis_answers
from tests.support.memory.database import Answers, Transaction
from tests.support.memory.tables import Record, Row, record

Answer = Callable[..., Awaitable[list[Record]]]


def among(table: str, column: str, *, parameter: str = "ids", order: str = "", lock: bool = False) -> Answer:
    """``SELECT * FROM table WHERE column = ANY(parameter) ORDER BY order FOR UPDATE``."""

    async def answer(tx: Transaction, **given: Sequence[Any]) -> list[Record]:
        wanted = set(given[parameter])
        rows = sorted((r for r in tx.all(table) if r[column] in wanted), key=lambda row: row[order or column])
        return tx.records(table, await tx.locked(table, rows) if lock else rows)

    return answer


# --- order_service


async def due_orders(tx: Transaction, limit: int) -> list[Record]:
    due = [row for row in tx.all("orders") if row["due_at"] is not None and row["due_at"] <= tx.now]
    return tx.records("orders", sorted(due, key=lambda row: row["due_at"])[:limit])


ORDERS: Answers = {
    orders._lock_orders: among("orders", "id", lock=True),
    orders._find_products: among("products", "sku", parameter="skus"),
    orders._due: due_orders,
}


# --- inventory_service


async def levels(tx: Transaction, skus: Sequence[str]) -> list[Record]:
    rows = sorted((r for r in tx.all("stock") if r["sku"] in skus), key=lambda row: (row["sku"], row["warehouse"]))
    priorities = {row["code"]: row["priority"] for row in tx.all("warehouses")}
    table = tx.schema.tables["stock"]
    made = record(*table.columns, "priority")
    return [
        made((*(row[name] for name in table.columns), priorities.get(row["warehouse"], 0)))
        for row in await tx.locked("stock", rows)
    ]


async def shipped_for(tx: Transaction, shipment_id: UUID) -> list[Record]:
    moved = [row for row in tx.all("stock_movements") if (row["reference"], row["kind"]) == (shipment_id, "ship")]
    return [record("order_id")((row["order_id"],)) for row in moved[:1]]


INVENTORY: Answers = {
    reservations._LOCK: among("reservations", "order_id", lock=True),
    task_store._LOCK: among("tasks", "id", lock=True),
    catalogue._LOCK: among("products", "sku", parameter="skus", lock=True),
    catalogue._OFFERS: among("products", "sku", parameter="skus"),
    shelves._LOAD_WAREHOUSES: among("warehouses", "code", parameter="codes"),
    shelves._LOCK: levels,
    shelves._SHIPPED_FOR: shipped_for,
    task_store._FIND: among("tasks", "id"),
}


# --- payment_service

_CALL = ("key", "order_id", "amount", "currency", "tries", "correlation_id", "traceparent")
_DUE_CALL = record(*_CALL, "method", "charge_key", "claimed", "customer_id")
_OPEN = {"payment_attempts": {"processing", "unknown"}, "refunds": {"requested", "sent", "unknown"}}


async def claim_calls(
    tx: Transaction, most: int, lease: timedelta, closed_to: Sequence[UUID], seen: int
) -> list[Record]:
    claimed = []
    for table in _OPEN:
        free = []
        for row in await _due(tx, table, seen):
            payment = tx.get("payments", (row["order_id"],)) or {}
            if payment["customer_id"] in closed_to:
                pause = min((tx.now - payment["updated_at"]) / 4, timedelta(seconds=30))
                tx.put(table, row | {"due_at": tx.now + pause})
            else:
                free.append((row, payment["customer_id"]))
        for row, customer_id in free[:most]:
            status = "sent" if row["status"] == "requested" else row["status"]
            tx.put(table, row | {"due_at": tx.now + lease, "claimed": True, "status": status})
            own = (row.get("method"), row.get("charge_key"), row["claimed"], customer_id)
            claimed.append(_DUE_CALL((*(row[name] for name in _CALL), *own)))
    return claimed


async def _due(tx: Transaction, table: str, most: int) -> list[Row]:
    due = [row for row in tx.all(table) if row["status"] in _OPEN[table] and row["due_at"] <= tx.now]
    return await tx.locked(table, sorted(due, key=lambda row: row["due_at"]), free=most)


async def give_back_calls(tx: Transaction, keys: Sequence[str]) -> list[Record]:
    for table in ("payment_attempts", "refunds"):
        cut = [
            row for row in tx.all(table) if row["key"] in keys and row["status"] in {"processing", "sent", "unknown"}
        ]
        for row in await tx.locked(table, cut):
            tx.put(table, row | {"due_at": tx.now})
    return []


async def lock_notices(tx: Transaction, providers: Sequence[str], event_ids: Sequence[str]) -> list[Record]:
    known = [row for key in sorted(zip(providers, event_ids, strict=True)) if (row := tx.get("webhook_events", key))]
    return tx.records("webhook_events", await tx.locked("webhook_events", known))


async def due_notices(tx: Transaction, most: int) -> list[Record]:
    open_ = [row for row in tx.all("webhook_events") if row["status"] in {"received", "parked"}]
    due = sorted((row for row in open_ if row["due_at"] <= tx.now), key=lambda row: row["due_at"])
    return tx.records("webhook_events", due[:most])


async def payment_by_id(tx: Transaction, id: UUID) -> list[Record]:  # noqa: A002 -- the statement's name for it
    return tx.records("payments", (row for row in tx.all("payments") if row["id"] == id))


PAYMENT: Answers = {
    payments._LOCK_PAYMENTS: among("payments", "order_id", lock=True),
    listings._FIND: payment_by_id,
    payments._ATTEMPTS: among("payment_attempts", "payment_id", order="attempt"),
    payments._REFUNDS: among("refunds", "payment_id", order="number"),
    calls._CLAIM: claim_calls,
    calls._GIVE_BACK: give_back_calls,
    notices._LOCK_NOTICES: lock_notices,
    notices._DUE: due_notices,
}


# --- notification_service


async def claim_mails(tx: Transaction, limit: int, lease: timedelta) -> list[Record]:
    pending = {Status.QUEUED, Status.WAITING, Status.SENDING}
    erased = {row["user_id"] for row in tx.all("erasures")}
    due = [row for row in tx.all("notifications") if row["status"] in pending and row["due_at"] <= tx.now]
    due = [row for row in due if row["user_id"] not in erased]
    claimed = await tx.locked("notifications", sorted(due, key=lambda row: row["due_at"]), free=limit)
    rows = []
    for row in claimed:
        changes = {"status": "sending", "attempts": row["attempts"] + 1, "version": row["version"] + 1}
        rows.append(row | changes | {"due_at": tx.now + lease})
        tx.put("notifications", rows[-1])
    return tx.records("notifications", rows)


async def forget_addresses(tx: Transaction, kept_for: timedelta, limit: int) -> list[Record]:
    old = [r for r in tx.all("notifications") if r["address"] and r["sent_at"] < tx.now - kept_for]
    free = await tx.locked("notifications", old, free=limit)
    for row in free:
        tx.put("notifications", row | {"address": None})
    return tx.records("notifications", free)


async def take_erasure(tx: Transaction) -> list[Record]:
    """None is under way: whoever keeps accounts is not in the simulation, and nobody is erased."""
    return tx.records("erasures", await tx.locked("erasures", tx.all("erasures"), free=1))


NOTIFICATION: Answers = {
    notifications._LOCK_READERS: among("notification_preferences", "user_id", lock=True),
    notifications._LOCK_NOTIFICATIONS: among("notifications", "id", lock=True),
    notifications._CLAIM: claim_mails,
    notifications._TAKE_ERASURE: take_erasure,
    notifications._FORGET: forget_addresses,
}


def answers(service: str) -> Answers:
    """Everything that a service asks."""
    own = {
        "order_service": ORDERS,
        "inventory_service": INVENTORY,
        "payment_service": PAYMENT,
        "notification_service": NOTIFICATION,
    }
    return {**chassis_answers(service), **own[service]}
