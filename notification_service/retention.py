"""The loop that forgets where mails went, 30 days after they were sent."""

from chassis.app import Parts
from notification_service import store

BATCH = 1000


async def step(parts: Parts) -> bool:
    """Forgets old addresses. True when there may be more at once."""
    async with parts.database.transaction() as tx:
        forgotten = await store.forget_addresses(tx, kept_for=parts.settings.addresses_kept_for, limit=BATCH)
    return forgotten == BATCH
