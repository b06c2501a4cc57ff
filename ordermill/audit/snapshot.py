"""Asks everything in one repeatable-read, read-only snapshot, as the role `auditor`."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import asyncpg

from chassis.database import OUTAGE, Database, Transaction
from chassis.ids import typeid
from contracts.catalogue import EVENTS
from contracts.orders import AboutOrder
from notification_service.domain.mails import TEMPLATES, ToStaff
from ordermill.audit.invariant import Invariant
from ordermill.audit.legal import STEPS
from ordermill.audit.part import first_id, part
from ordermill.audit.question import Question, Told, Verdict, Window
from ordermill.audit.scope import named, narrowed, numbered
from ordermill.services import SERVICES, load

SHOWN = 100
LONGEST = 900.0
PROVIDER = "provider"
# What is the matter with a value, and with nothing else; the last two are raised where an answer is read.
_OF_VALUES = (
    asyncpg.DataError,
    asyncpg.CardinalityViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,
    ArithmeticError,
)

# Until when parcels may have been dropped (0037): what some service has dropped, or may drop while the audit looks.
# Yesterday is always kept.
_KEPT = " UNION ALL ".join(f"SELECT since, days FROM {service}.kept" for service in SERVICES)  # noqa: S608 -- ours
_HORIZON = f"""
    SELECT least(today - 1, max(greatest(since, today - days + 1)))
    FROM ({_KEPT}) kept, (SELECT (now() AT TIME ZONE 'UTC')::date) t(today) GROUP BY today
"""  # noqa: S608 -- as above


class Unreadable(Exception):
    """A question cannot be answered, for what is stored: what PostgreSQL says, or what reads its answer."""


async def audit(url: str, invariants: Mapping[str, Invariant], question: Question) -> list[Verdict]:
    """How it stands with each invariant that is asked for, in one snapshot.

    Raises:
        OUTAGE: one of these when the database cannot be reached or went away.
    """
    database = Database(url, size=1, longest=LONGEST)
    await database.open()
    try:
        return await look(database, _chosen(invariants, question), question)
    finally:
        await database.close()


async def look(database: Database, invariants: Sequence[Invariant], question: Question) -> list[Verdict]:
    """How it stands with these invariants, in one snapshot. Raises as `audit` does.

    One that cannot be asked, since somebody has written what it cannot read, keeps no other from being asked.
    """
    asked = {each: _counted(each, question) for each in invariants}
    async with database.transaction(read_only=True, snapshot=True) as tx:
        given = await _given_to_all(tx, question, {name for sql in asked.values() for name in named(sql)})
        return [await _judged(tx, question, each, sql, given) for each, sql in asked.items()]


def _chosen(invariants: Mapping[str, Invariant], question: Question) -> list[Invariant]:
    wanted = question.only or invariants.keys()
    return [each for each in invariants.values() if each.kind in question.kinds and each.id in wanted]


def _counted(invariant: Invariant, question: Question) -> str:
    return f"SELECT count(*) OVER () AS offending, * FROM ({narrowed(invariant.sql, question)}) broken LIMIT {SHOWN}"  # noqa: S608 -- ours


async def _given_to_all(tx: Transaction, question: Question, wanted: Collection[str]) -> Mapping[str, Any] | None:
    """The values of all names, as one looks for them; None where one of them cannot be found."""
    try:
        with _unreadable():
            async with tx.savepoint():
                return await _given(tx, question, wanted)
    except Unreadable:
        return None


async def _judged(
    tx: Transaction, question: Question, invariant: Invariant, sql: str, given: Mapping[str, Any] | None
) -> Verdict:
    """What is not given to all, each looks for itself."""
    started = time.perf_counter()
    try:
        with _unreadable():
            async with tx.savepoint():
                rows = await _ask(tx, sql, await _given(tx, question, named(sql)) if given is None else given)
    except Unreadable as failure:
        said = str(failure)
        return Verdict(invariant, [{"cannot be asked": said}], time.perf_counter() - started, 1, said)
    counts = [row.pop("offending") for row in rows]
    return Verdict(invariant, rows, time.perf_counter() - started, counts[0] if counts else 0)


async def _ask(tx: Transaction, counted: str, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    sql, arguments = numbered(counted, given)
    return [dict(row) for row in await tx.sql(sql, *arguments)]


@contextmanager
def _unreadable() -> Iterator[None]:
    """Raises Unreadable for what is the matter with what is stored, and not with the database or its schemas."""
    try:
        yield
    except OUTAGE:
        raise
    except _OF_VALUES as failure:
        said = str(failure).partition("\n")[0]
        raise Unreadable(said or type(failure).__name__) from failure


async def _given(tx: Transaction, question: Question, wanted: Collection[str]) -> dict[str, Any]:
    """The values of what invariants may name; of what takes a query, of what they do name."""
    asked = {
        "told": _told(question.told),
        "outages": _outages(question.outages),
        "poisoned": list(question.poisoned),
    }
    kept = await _kept(tx) if {"horizon", "kept", "kept_at"}.intersection(wanted) else {}
    return await part(tx, question, wanted) | kept | asked | _constants()


async def _kept(tx: Transaction) -> dict[str, Any]:
    """Since when parcels and what followed from them are there for certain."""
    [(day,)] = await tx.sql(_HORIZON)
    horizon = datetime.combine(day, datetime.min.time(), UTC)
    # The first event of a parcel names it, and others may be younger: what was told an hour later is there for certain.
    kept = horizon + timedelta(hours=1)
    return {"horizon": first_id(horizon), "kept": first_id(kept), "kept_at": kept}


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


@cache
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
