"""The one clock of the shop: ends orders that are past a deadline. Whether they are is decided in the domain."""

import asyncio

from chassis.app import Parts
from order_service.domain.cancellation import Expire
from order_service.store import DUE_AT_ONCE, list_due


async def step(parts: Parts) -> bool:
    """Ends what is due, set-wise; True when there may be more."""
    async with parts.database.transaction(read_only=True) as tx:
        due = await list_due(tx)
    ended = (parts.pipeline.submit(Expire(order_id=order_id)) for order_id in due)
    outcomes = await asyncio.gather(*ended, return_exceptions=True)
    if failures := [outcome for outcome in outcomes if isinstance(outcome, BaseException)]:
        raise failures[0]
    return len(due) == DUE_AT_ONCE
