"""The loop that goes on with erasures: whoever got a hundred thousand mails is not overwritten in one statement."""

from chassis.app import Parts
from notification_service import store


async def step(parts: Parts) -> bool:
    """Overwrites some of an erased user's notifications. True when there may be more at once."""
    async with parts.database.transaction() as tx:
        user_id = await store.take_erasure(tx)
        return user_id is not None and await store.go_on_erasing(tx, user_id)
