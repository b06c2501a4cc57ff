"""When a shop is at rest: no order is open, no parcel waits, each was handled by all who listen, no mail is unsent."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from ordermill.errors import Exit, Failure
from ordermill.services import SERVICES

LOOKS_EACH = 0.05
RESTS_EACH = 0.1

_OPEN = "SELECT EXISTS (SELECT FROM order_service.orders WHERE due_at IS NOT NULL)"
_STATUSES = """
    SELECT status, count(*) FROM order_service.orders WHERE created_at >= $1 GROUP BY status ORDER BY 2 DESC
"""
_UNPUBLISHED = "SELECT '{0} unpublished', count(*) FROM {0}.outbox WHERE published_at IS NULL"
_DEFERRED = "SELECT '{0} deferred', count(*) FROM {0}.deferred"
_UNHANDLED = """
    SELECT '{0} unhandled of {1}', count(*) FROM {1}.outbox o WHERE o.created_at >= $1 AND o.topic = ANY('{2}')
        AND NOT EXISTS (SELECT FROM {0}.inbox i WHERE i.message_id = o.id)
"""
_MAILS = """
    SELECT 'mails', count(*) FROM notification_service.notifications WHERE status IN ('queued', 'waiting', 'sending')
"""
_CANCELLING = "SELECT 'cancelling', count(*) FROM order_service.orders WHERE status = 'cancelling'"


def waiting_for(listens: Mapping[str, Sequence[str]]) -> str:
    """The statement that counts what waits, by kind; its parameter is since when parcels are looked at."""
    heard = [
        _UNHANDLED.format(listener, teller, "{" + ",".join(told) + "}")
        for listener, topics in listens.items()
        for teller in SERVICES
        if (told := [topic for topic in topics if _teller(topic) == teller])
    ]
    kinds = [kind.format(service) for service in SERVICES for kind in (_UNPUBLISHED, _DEFERRED)]
    return " UNION ALL ".join([_CANCELLING, *kinds, *heard, _MAILS])


def _teller(topic: str) -> str:
    from contracts.catalogue import teller

    return teller(topic)


class Rest:
    """Waits for a shop to come to rest. Raises Failure when for too long nothing changes."""

    def __init__(self, database: asyncpg.Connection, listens: Mapping[str, Sequence[str]], patience: float) -> None:
        self._database = database
        self._waiting_for = waiting_for(listens)
        self._patience = patience

    async def settled(self, progress: Callable[[], Any]) -> float:
        """The moment on the monotonic clock when no order was open any more."""
        seen, since = None, time.monotonic()
        while await self._database.fetchval(_OPEN):
            if (now_seen := progress()) != seen:
                seen, since = now_seen, time.monotonic()
            if time.monotonic() > since + self._patience:
                raise await self._failure("orders are open")
            await asyncio.sleep(LOOKS_EACH)
        return time.monotonic()

    async def rested(self, since: datetime) -> None:
        """Returns when nothing waits that was told since then."""
        until = time.monotonic() + self._patience
        while waits := await self._waits(since):
            if time.monotonic() > until:
                raise await self._failure(", ".join(f"{name}: {count}" for name, count in waits.items()))
            await asyncio.sleep(RESTS_EACH)

    async def _waits(self, since: datetime) -> dict[str, int]:
        return {name: count for name, count in await self._database.fetch(self._waiting_for, since) if count}

    async def statuses(self, since: datetime) -> dict[str, int]:
        """How many orders of those placed since then are in each status."""
        return dict(await self._database.fetch(_STATUSES, since))

    async def _failure(self, what: str) -> Failure:
        cause = f"The shop did not come to rest within {self._patience:.0f} s: {what}."
        return Failure(cause, "Read the logs in the folder log of the bench's home.", Exit.TIMED_OUT)
