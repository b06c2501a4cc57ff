"""Recorded parcels told again: the relay publishes them once more, and whoever handled them before ignores them."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from chassis.acts import Why
from chassis.database import Database
from chassis.event_log import EventLog, Selection
from chassis.inbox import Inbox
from contracts.catalogue import TELLERS, teller


async def tell_again(
    tellers: Mapping[str, Database], listener: tuple[str, Database], selection: Selection, why: Why, *, handled: bool
) -> AsyncIterator[int]:
    """Tells what the listener has not handled, or all, page by page; after each page how many parcels that were.

    Each page is a transaction of its own: whoever stops between two of them has told whole pages.
    """
    told = 0
    for service, database in tellers.items():
        log, topics = EventLog(service), [topic for topic in selection.topics or () if teller(topic) == service]
        if topics:
            async for page in log.pages(database, replace(selection, topics=topics), bodies=False):
                parcels = [recorded.id for recorded in page]
                wanted = parcels if handled else await _unheard(*listener, parcels)
                async with database.transaction() as tx:
                    told += len(await log.tell_again(tx, list(wanted), why))
                yield told


async def _unheard(name: str, database: Database, parcels: list[UUID]) -> Collection[UUID]:
    async with database.transaction(read_only=True) as tx:
        return await Inbox(name).unheard(tx, parcels)


async def tell_lost(url: str, listeners: Mapping[str, Sequence[str]]) -> None:
    """Tells these services, whose queues are new, what they have not handled: a lost queue held it. As the owner."""
    database = Database(url, size=1)
    await database.open()
    tellers = dict.fromkeys(sorted(set(TELLERS.values())), database)
    try:
        for service, topics in listeners.items():
            selection, why = Selection(topics=topics), Why("topology", f"to {service}, whose queue is new")
            async for _ in tell_again(tellers, (service, database), selection, why, handled=False):
                pass
    finally:
        await database.close()


async def fill_replica(told: Mapping[str, str]) -> None:
    """Tells all products when order_service knows of none. The settings are of a role that sees both schemas."""
    from inventory_service.catalogue import republish_products
    from order_service.store import count_versions
    from ordermill.seeds import at_work

    async with at_work("inventory_service", told) as parts:
        async with parts.database.transaction(read_only=True) as tx:
            [(known,)] = await tx.sql("SELECT to_regclass('inventory_service.acts') IS NOT NULL")
            is_empty = known and await count_versions(tx) == 0
        if is_empty:
            async for _ in republish_products(parts, "migration", "the replica of order_service was empty"):
                pass
