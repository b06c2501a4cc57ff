"""The loops of the services' workers, one step at a time."""

import asyncio

from chassis.worker import retry_deferred
from notification_service import sending
from order_service import deadlines
from payment_service import charging, webhooks

HOSTED = ("order_service", "inventory_service", "payment_service", "notification_service")


async def charge(parts) -> bool:
    """One step of the charging loop, until the provider has answered, or never will."""
    parts.own.provider.lost.clear()
    more = await charging.step(parts)
    await landed(parts)
    return more


async def landed(parts) -> None:
    """Returns when what a process has begun by itself is over, or never will be."""
    flights = asyncio.gather(*getattr(parts.own, "flights", ()), return_exceptions=True)
    provider = getattr(parts.own, "provider", None)
    lost = asyncio.ensure_future(provider.lost.wait() if provider else asyncio.Event().wait())
    try:
        await asyncio.wait({lost, flights}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        lost.cancel()


LOOPS = {
    "deadlines": ("order_service", deadlines.step),
    "charging": ("payment_service", charge),
    "webhooks": ("payment_service", webhooks.apply_step),
    "sending": ("notification_service", sending.step),
    **{f"deferred of {name}": (name, retry_deferred) for name in HOSTED},
}
