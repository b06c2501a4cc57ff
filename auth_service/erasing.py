"""The loop that tells again who was erased, when nothing of theirs can be on its way any more."""

from auth_service import store
from auth_service.domain.erasing import TellErasedAgain
from chassis.app import Parts

_AT_ONCE = 100


async def step(parts: Parts) -> bool:
    async with parts.database.transaction(read_only=True) as tx:
        erased = await store.find_erased(tx, limit=_AT_ONCE)
    for user_id in erased:
        await parts.pipeline.submit(TellErasedAgain(user_id=user_id))
    return len(erased) == _AT_ONCE
