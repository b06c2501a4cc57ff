"""The loop that goes on erasing users, and tells again who was when nothing of theirs can be on its way any more."""

from auth_service import store
from auth_service.domain.erasing import TellErasedAgain
from chassis.app import Parts

_AT_ONCE = 100


async def step(parts: Parts) -> bool:
    """Overwrites a page, then tells; True when there may be more."""
    async with parts.database.transaction() as tx:
        being_erased = await store.find_being_erased(tx, limit=_AT_ONCE)
        more = bool(being_erased) and await store.erase_more(tx, being_erased)
        erased = await store.find_erased(tx, limit=_AT_ONCE)
    for user_id in erased:
        await parts.pipeline.submit(TellErasedAgain(user_id=user_id))
    return more or len(erased) == _AT_ONCE
