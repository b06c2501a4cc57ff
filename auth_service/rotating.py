"""The loop that makes the next signing key in time, and forgets old ones when no token of theirs can be good."""

from auth_service import store
from auth_service.settings import Settings
from chassis.app import Parts


async def step(parts: Parts) -> bool:
    settings: Settings = parts.settings
    async with parts.database.transaction() as tx:
        await store.rotate_signing_keys(tx, every=settings.keys_sign_for, tokens_last=settings.access_for)
    return False
