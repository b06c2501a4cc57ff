"""The catalogue as others follow it: told again for a reader that has lost it, and how far it has come."""

from collections.abc import AsyncIterator

from chassis import telemetry
from chassis.acts import Acts, Why
from chassis.app import Parts
from contracts.envelope import PARCEL_EVENTS
from contracts.stock import ProductUpserted
from inventory_service.domain.product import RepublishProducts
from inventory_service.store.catalogue import count_versions, list_skus


async def republish_products(parts: Parts, actor: str, note: str = "") -> AsyncIterator[int]:
    """Tells every product as it is now, a parcel at a time; after each of them how many that were."""
    told, skus = 0, await _skus(parts, "")
    if skus:
        async with parts.database.transaction() as tx:
            await Acts(parts.service.name).add(tx, "republish", [(None, ProductUpserted.topic)], Why(actor, note=note))
    while skus:
        told += await parts.pipeline.submit(RepublishProducts(skus=tuple(skus)), actor=actor)
        yield told
        skus = await _skus(parts, skus[-1])


async def _skus(parts: Parts, after: str) -> list[str]:
    async with parts.database.transaction(read_only=True) as tx:
        return await list_skus(tx, after, PARCEL_EVENTS)


async def measure(parts: Parts) -> bool:
    async with parts.database.transaction(read_only=True) as tx:
        telemetry.CATALOGUE.labels(parts.service.name).set(await count_versions(tx))
    return False
