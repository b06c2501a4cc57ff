"""The catalogue as others follow it: told again for a reader that has lost it, and how far it has come."""

from collections.abc import AsyncIterator, Awaitable, Callable

from chassis import telemetry
from chassis.acts import Acts, Why
from chassis.app import Parts
from chassis.database import Transaction
from contracts.envelope import PARCEL_EVENTS
from contracts.stock import ProductUpserted
from inventory_service.domain.product import RepublishProducts
from inventory_service.store.catalogue import count_versions, list_skus

Page = Callable[[Transaction, str, int], Awaitable[list[str]]]


async def republish_products(parts: Parts, actor: str, note: str = "", page: Page = list_skus) -> AsyncIterator[int]:
    """Tells products as they are now, all or those on other pages, a parcel each; after each how many that were."""
    told, skus = 0, await _skus(parts, page, "")
    if skus:
        async with parts.database.transaction() as tx:
            await Acts(parts.service.name).add(tx, "republish", [(None, ProductUpserted.topic)], Why(actor, note=note))
    while skus:
        told += await parts.pipeline.submit(RepublishProducts(skus=tuple(skus)), actor=actor)
        yield told
        skus = await _skus(parts, page, skus[-1])


async def _skus(parts: Parts, page: Page, after: str) -> list[str]:
    async with parts.database.transaction(read_only=True) as tx:
        return await page(tx, after, PARCEL_EVENTS)


async def measure(parts: Parts) -> bool:
    async with parts.database.transaction(read_only=True) as tx:
        telemetry.CATALOGUE.labels(parts.service.name).set(await count_versions(tx))
    return False
