"""Webhooks' second step: what a provider told is held against its payment, or waits for it.

And their origin, when the provider runs inside of this process.
"""

import asyncio
from functools import partial

from loguru import logger

from chassis.app import Parts
from payment_service.domain.notice import ApplyNotice, Notice, NoticeStatus
from payment_service.providers import InProcess
from payment_service.simulator import post
from payment_service.store.notices import list_due_notices

AT_ONCE = 100
URL = "/api/v1/payments/webhooks/simulated"


async def apply_step(parts: Parts) -> bool:
    """Applies what is due. Applying twice is harmless, so nothing is claimed."""
    async with parts.database.transaction(read_only=True) as tx:
        due = await list_due_notices(tx, AT_ONCE)
    await asyncio.gather(*(_apply(parts, notice) for notice in due))
    return len(due) == AT_ONCE


async def _apply(parts: Parts, notice: Notice) -> None:
    command = ApplyNotice(provider=notice.provider, event_id=notice.event_id, order_id=notice.order_id)
    settled = await parts.pipeline.submit(command, actor=notice.provider)
    if settled is not None and settled.status is NoticeStatus.CONTRADICTS:
        logger.error(
            "{} {} contradicts what is settled or asked for under {}", notice.provider, notice.event_id, notice.call_key
        )


async def tell_step(parts: Parts) -> bool:
    """The provider inside of this process tells over HTTP, as one of its own would."""
    provider = parts.own.provider
    if not isinstance(provider, InProcess):
        return False
    return await provider.simulator.tell(partial(post, parts.peers["payment_service"], URL))
