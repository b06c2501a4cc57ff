"""Asks everything in one repeatable-read, read-only snapshot, as the role `auditor`."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.database import Database, Transaction
from chassis.ids import typeid
from contracts.catalogue import EVENTS
from contracts.orders import AboutOrder
from notification_service.domain.mails import TEMPLATES, ToStaff
from ordermill.audit.invariant import Invariant
from ordermill.audit.legal import STEPS
from ordermill.audit.question import Question, Told, Verdict, Window
from ordermill.audit.scope import narrowed, numbered
from ordermill.services import SERVICES, load

SHOWN = 100
LONGEST = 900.0
NEWEST = timedelta(seconds=30)
PROVIDER = "provider"

# Until when parcels may have been dropped: days that some service keeps no more. Yesterday is always kept.
_HORIZON = """
    SELECT now(), least((now() AT TIME ZONE 'UTC')::date - 1, max(oldest)) FROM (
        SELECT min(to_date(right(child.relname, 8), 'YYYYMMDD')) AS oldest
        FROM pg_inherits i
        JOIN pg_class child ON child.oid = i.inhrelid JOIN pg_class parent ON parent.oid = i.inhparent
        WHERE parent.relname IN ('outbox', 'inbox') AND parent.relnamespace::regnamespace::text = ANY($1::text[])
            AND child.relname ~ '_[0-9]{8}$'
        GROUP BY parent.oid) kept
"""
_CHANGED = "SELECT id FROM order_service.orders WHERE updated_at >= $1"
_SHIPPED = """
    SELECT (shipment ->> 'id')::uuid
    FROM inventory_service.reservations r, jsonb_array_elements(r.shipments) shipment WHERE r.order_id = ANY($1::uuid[])
"""
_SKUS = """
    SELECT DISTINCT line.sku FROM order_service.orders o, jsonb_to_recordset(o.lines) AS line(sku text)
    WHERE o.id = ANY($1::uuid[])
"""


async def audit(url: str, invariants: Mapping[str, Invariant], question: Question) -> list[Verdict]:
    """How it stands with each invariant that is asked for, in one snapshot.

    Raises:
        OUTAGE: one of these when the database cannot be reached or went away.
    """
    database = Database(url, size=1, longest=LONGEST)
    await database.open()
    try:
        async with database.transaction(read_only=True, snapshot=True) as tx:
            given = await _given(tx, question)
            return [await _ask(tx, each, question, given) for each in _chosen(invariants, question)]
    finally:
        await database.close()


def _chosen(invariants: Mapping[str, Invariant], question: Question) -> list[Invariant]:
    wanted = question.only or invariants.keys()
    return [each for each in invariants.values() if each.kind in question.kinds and each.id in wanted]


async def _ask(tx: Transaction, invariant: Invariant, question: Question, given: Mapping[str, Any]) -> Verdict:
    counted = f"SELECT count(*) OVER () AS offending, * FROM ({narrowed(invariant.sql, question)}) broken LIMIT {SHOWN}"  # noqa: S608 -- ours
    sql, arguments = numbered(counted, given)
    started = time.perf_counter()
    rows = [dict(row) for row in await tx.sql(sql, *arguments)]
    counts = [row.pop("offending") for row in rows]
    return Verdict(invariant, rows, time.perf_counter() - started, counts[0] if counts else 0)


async def _given(tx: Transaction, question: Question) -> dict[str, Any]:
    """The values of everything that an invariant may name."""
    [(now, day)] = await tx.sql(_HORIZON, list(SERVICES))
    horizon = datetime.combine(day, datetime.min.time(), UTC)
    # The first event of a parcel names it, and others may be younger: what was told an hour later is there for certain.
    kept = horizon + timedelta(hours=1)
    first_at = now - (question.recent or question.rest or timedelta())
    narrow = question.recent or question.rest
    orders = [row[0] for row in await tx.sql(_CHANGED, first_at)] if narrow else []
    shipped = [row[0] for row in await tx.sql(_SHIPPED, orders)]
    skus = [row[0] for row in await tx.sql(_SKUS, orders)] if question.recent else []
    moving = {
        "orders": orders,
        "references": orders + shipped,
        "skus": skus,
        "first_at": first_at,
        "first_id": first_id(first_at),
        "newest_id": first_id(max(first_at, now - NEWEST)),
    }
    kept_since = {"horizon": first_id(horizon), "kept": first_id(kept), "kept_at": kept}
    asked = {
        "told": _told(question.told),
        "outages": _outages(question.outages),
        "poisoned": list(question.poisoned),
    }
    return moving | kept_since | asked | _constants()


def first_id(at: datetime) -> UUID:
    """The smallest UUIDv7 of this moment, as `chassis.migrations` cuts its partitions."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def _told(told: Sequence[Told]) -> list[dict[str, Any]]:
    return [{**one._asdict(), "reference": typeid("ord", one.order_id)} for one in told]


def _outages(windows: Sequence[Window]) -> list[dict[str, datetime]]:
    """The windows, those that overlap as one: no second is excused twice."""
    merged: list[Window] = []
    for since, until in sorted(windows):
        if merged and since <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(until, merged[-1][1]))
        else:
            merged.append((since, until))
    return [{"since": since, "until": until} for since, until in merged]


def _constants() -> dict[str, Any]:
    moves = {(before, after) for before, _cause, after, _topics in STEPS if before != after}
    names = ("from", "cause", "to", "topics")
    listeners = [
        {"topic": topic, "listener": service} for service in SERVICES for topic in load(service).decisions.topics
    ]
    mails = [
        {"topic": event.topic, "template": template, "to_staff": issubclass(event, ToStaff)}
        for event, template in TEMPLATES.items()
    ]
    return {
        "transitions": [{"from": before, "to": after} for before, after in moves],
        "terminal": sorted({after for _, after in moves} - {before for before, _ in moves}),
        "steps": [dict(zip(names, step, strict=True)) for step in STEPS],
        "listeners": listeners,
        "mails": mails,
        "about_orders": [topic for topic, event in EVENTS.items() if issubclass(event, AboutOrder)],
        "schemas": [*SERVICES, PROVIDER],
    }
