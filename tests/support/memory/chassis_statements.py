"""What the chassis asks of PostgreSQL, answered from memory: inbox, outbox, deferred events, keys, the relay."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.deferred import LEASE, STARTS, DeferredEvents
from chassis.idempotency import Claims
from chassis.inbox import CLOCK, Inbox
from chassis.relay import PARCELS, Relay
from tests.support.memory.database import Answers, Transaction
from tests.support.memory.tables import Record, Row, record


def chassis_answers(service: str) -> Answers:
    inbox, deferred, claims = Inbox(service), DeferredEvents(service), Claims(service)
    relay = Relay(service, None, "")

    return {
        inbox._claim: claim_parcels,
        CLOCK: clock,
        inbox._unheard: unheard,
        deferred._add: add_deferred,
        deferred._take: take_deferred,
        deferred._start: start_deferred,
        deferred._uncount: uncount,
        deferred._park: park,
        deferred._due: due_deferred,
        claims._lock: lock_keys,
        claims._find: find_keys,
        claims._expire: expire_keys,
        relay._due: due_parcels,
        relay._mark: mark,
        relay._delay: delay_parcels,
        f"SELECT {service}.maintain_partitions($1)": nothing,
    }


async def nothing(_tx: Transaction, *_arguments: Any) -> list[Record]:
    return []


# --- inbox and outbox


async def claim_parcels(tx: Transaction, messages: Sequence[UUID], subjects: Sequence[str]) -> list[Record]:
    held_up = {row["subject"] for row in tx.all("deferred") if row["state"] == "deferred"}
    fresh = [id_ for id_ in sorted(set(messages)) if await tx.insert("inbox", {"message_id": id_}) is None]
    return [record("now", "fresh", "held_up")((tx.now, fresh, sorted(held_up & set(subjects))))]


async def clock(tx: Transaction) -> list[Record]:
    return [record("now")((tx.now,))]


async def unheard(tx: Transaction, messages: Sequence[UUID]) -> list[Record]:
    kept = {row["message_id"] for row in tx.all("deferred")}
    discarded = {row["message_id"] for row in tx.all("acts") if row["act"] == "discard"}
    new = [id_ for id_ in messages if id_ not in kept | discarded and tx.get("inbox", (id_,)) is None]
    return [record("m")((id_,)) for id_ in new]


# --- deferred events


async def add_deferred(tx: Transaction, *columns: Sequence[Any]) -> list[Record]:
    for m, i, topic, subject, body, attempts, error, parked, wait, careful in zip(*columns, strict=True):
        row = {
            "message_id": m,
            "index": i,
            "topic": topic,
            "subject": subject,
            "body": body,
            "attempts": attempts,
            "last_error": error,
            "state": "parked" if parked else "deferred",
            "not_before": tx.now + wait,
            "careful": careful,
        }
        await tx.insert("deferred", row)
    return []


async def _deferred(tx: Transaction, *key: Any, due: bool = False) -> Row | None:
    known = tx.get("deferred", key)
    rows = await tx.locked("deferred", [known]) if known else []
    return next((r for r in rows if r["state"] == "deferred" and (not due or r["not_before"] <= tx.now)), None)


async def take_deferred(tx: Transaction, messages: Sequence[UUID], indexes: Sequence[int]) -> list[Record]:
    taken = []
    for key in zip(messages, indexes, strict=True):
        if (row := await _deferred(tx, *key)) is not None:
            tx.delete("deferred", row)
            taken.append(record("message_id", "index")(key))
    return taken


async def start_deferred(tx: Transaction, message_id: UUID, index: int) -> list[Record]:
    if (row := await _deferred(tx, message_id, index, due=True)) is None:
        return []
    attempts = row["attempts"] + 1
    state = "parked" if attempts == STARTS or attempts > STARTS + 1 else row["state"]
    error = f"its process died, or was stopped, at start {attempts}"
    later = tx.now + timedelta(seconds=LEASE)
    tx.put("deferred", row | {"attempts": attempts, "state": state, "last_error": error, "not_before": later})
    return [record("state")((state,))]


async def uncount(tx: Transaction, message_id: UUID, index: int, error: str) -> list[Record]:
    if (row := await _deferred(tx, message_id, index)) is not None:
        tx.put("deferred", row | {"attempts": row["attempts"] - 1, "last_error": error, "not_before": tx.now})
    return []


async def park(tx: Transaction, message_id: UUID, index: int, error: str) -> list[Record]:
    known = tx.get("deferred", (message_id, index))
    for row in await tx.locked("deferred", [known] if known else []):
        tx.put("deferred", row | {"state": "parked", "last_error": error})
    return []


async def due_deferred(tx: Transaction, limit: int) -> list[Record]:
    first: dict[str, Row] = {}
    for row in sorted(tx.all("deferred"), key=lambda row: (row["subject"], row["message_id"], row["index"])):
        if row["state"] == "deferred":
            first.setdefault(row["subject"], row)
    due = sorted((row for row in first.values() if row["not_before"] <= tx.now), key=lambda row: row["not_before"])
    return tx.records("deferred", due[:limit])


# --- idempotency keys


async def lock_keys(tx: Transaction, locks: Sequence[int]) -> list[Record]:
    held = []
    for lock in locks:
        free = tx.is_free(("key", lock))
        if free:
            await tx.lock(("key", lock))
        held.append(free)
    return [record("n", "held")(pair) for pair in enumerate(held, 1)]


async def find_keys(tx: Transaction, *scopes: Sequence[Any]) -> list[Record]:
    found = [row for scope in zip(*scopes, strict=True) if (row := tx.get("idempotency", scope))]
    names = ("user_id", "operation", "key", "fingerprint", "status", "headers", "body")
    return [record(*names)(tuple(row[name] for name in names)) for row in found]


async def expire_keys(tx: Transaction) -> list[Record]:
    old = [row for row in tx.all("idempotency") if row["created_at"] < tx.now - timedelta(days=7)][:1000]
    for row in old:
        tx.delete("idempotency", row)
    return [record("gone")((1,)) for _ in old]


# --- the relay


async def due_parcels(tx: Transaction) -> list[Record]:
    rows = [row for row in tx.all("outbox") if row["published_at"] is None and row["not_before"] <= tx.now]
    return tx.records("outbox", sorted(rows, key=lambda row: row["id"])[:PARCELS])


async def _parcels(tx: Transaction, ids: Sequence[UUID]) -> list[Row]:
    return await tx.locked("outbox", [row for id_ in sorted(ids) if (row := tx.get("outbox", (id_,)))])


async def mark(tx: Transaction, ids: Sequence[UUID], read: Sequence[datetime]) -> list[Record]:
    confirmed = set(zip(ids, read, strict=True))
    for row in await _parcels(tx, ids):
        if (row["id"], row["not_before"]) in confirmed:
            tx.put("outbox", row | {"published_at": tx.now})
    return []


async def delay_parcels(tx: Transaction, ids: Sequence[UUID], jitter: float) -> list[Record]:
    for row in await _parcels(tx, ids):
        pause = jitter * min(2.0 ** min(row["attempts"], 9), 300)
        later: datetime = tx.now + timedelta(seconds=pause)
        tx.put("outbox", row | {"attempts": row["attempts"] + 1, "not_before": later})
    return []
