"""The loop that deletes sessions, refresh tokens, API keys and counts of failed sign-ins when they are old."""

from auth_service import store
from auth_service.settings import Settings
from chassis.app import Parts

_AT_ONCE = 1000


async def step(parts: Parts) -> bool:
    settings: Settings = parts.settings
    async with parts.database.transaction() as tx:
        forgotten = await store.forget_sessions(tx, kept_for=settings.sessions_kept_for, limit=_AT_ONCE)
        keys = await store.forget_api_keys(tx, kept_for=settings.sessions_kept_for, limit=_AT_ONCE)
        tries = await store.forget_tries(tx, kept_for=settings.places_kept_for, limit=_AT_ONCE)
    return max(forgotten, keys, tries) == _AT_ONCE
