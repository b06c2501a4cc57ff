"""Recorded parcels told again: the relay publishes them once more, and whoever handled them before ignores them."""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace
from uuid import UUID

from chassis.acts import Why
from chassis.database import Database
from chassis.event_log import EventLog, Selection
from chassis.inbox import Inbox
from contracts.catalogue import teller


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
