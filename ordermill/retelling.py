"""Recorded parcels told again: the relay publishes them once more, and whoever handled them before ignores them."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chassis.acts import Why
from chassis.database import Database, Transaction
from chassis.event_log import EventLog, Recorded, Selection
from chassis.ids import made_at
from chassis.inbox import Inbox
from contracts.catalogue import teller
from ordermill.services import SERVICES

SPARE = timedelta(days=4)
_LACKING = """
    SELECT sku FROM inventory_service.products p
    WHERE sku > $1 AND NOT EXISTS (SELECT 1 FROM order_service.products known WHERE known.sku = p.sku)
    ORDER BY sku LIMIT $2
"""


async def tell_again(
    tellers: Mapping[str, Database], listener: tuple[str, Database], selection: Selection, why: Why, *, handled: bool
) -> AsyncIterator[int]:
    """Tells what the listener has not handled, or all, page by page; after each page how many parcels that were.

    Each page is a transaction of its own: whoever stops between two of them has told whole pages. What some inbox may
    have forgotten is left: who has handled it would do so again.
    """
    told, since, now = 0, await _kept_since({**tellers, listener[0]: listener[1]}), datetime.now(UTC)
    for service, database in tellers.items():
        log, topics = EventLog(service), [topic for topic in selection.topics or () if teller(topic) == service]
        if topics:
            async for page in log.pages(database, replace(selection, topics=topics), bodies=False):
                parcels = [recorded.id for recorded in page if _is_kept(recorded, since, now)]
                wanted = parcels if handled else await _unheard(*listener, parcels)
                async with database.transaction() as tx:
                    told += len(await log.tell_again(tx, list(wanted), why))
                yield told


async def _kept_since(databases: Mapping[str, Database]) -> datetime:
    """From when on each inbox here knows what it has handled."""
    kept = []
    for name, database in databases.items():
        async with database.transaction(read_only=True) as tx:
            kept.append(await Inbox(name).kept_since(tx))
    return max(kept)


def _is_kept(parcel: Recorded, since: datetime, now: datetime) -> bool:
    """Whether no inbox can have forgotten a parcel; one that was older when it was told than what is kept is for ever.

    Its id says when its first cause was, and an inbox keeps by ids: what has no day of its own any more stays.
    """
    caused_at = made_at(parcel.id)
    return caused_at >= since or parcel.created_at - caused_at > now - since + SPARE


async def _unheard(name: str, database: Database, parcels: list[UUID]) -> Collection[UUID]:
    async with database.transaction(read_only=True) as tx:
        return await Inbox(name).unheard(tx, parcels)


async def tell_lost(url: str, listeners: Mapping[str, Sequence[str]]) -> None:
    """Tells these services, whose queues are new, what they have not handled: a lost queue held it. As the owner."""
    database = Database(url, size=1)
    await database.open()
    everybody = dict.fromkeys(SERVICES, database)
    try:
        for service, topics in listeners.items():
            selection, why = Selection(topics=topics), Why("topology", f"to {service}, whose queue is new")
            async for _ in tell_again(everybody, (service, database), selection, why, handled=False):
                pass
    finally:
        await database.close()


async def fill_replica(told: Mapping[str, str]) -> None:
    """Tells the products that order_service does not know; interrupted, the next time those that it still lacks.

    The settings are of a role that sees both schemas.
    """
    from inventory_service.catalogue import republish_products
    from ordermill.seeds import at_work

    async with at_work("inventory_service", told) as parts:
        async with parts.database.transaction(read_only=True) as tx:
            [(is_known,)] = await tx.sql("SELECT to_regclass('inventory_service.acts') IS NOT NULL")
        if is_known:
            async for _ in republish_products(parts, "migration", "the replica of order_service lacks them", _lacking):
                pass


async def _lacking(tx: Transaction, after: str, limit: int) -> list[str]:
    return [row[0] for row in await tx.sql(_LACKING, after, limit)]
