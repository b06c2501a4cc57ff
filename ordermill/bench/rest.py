"""When a shop is at rest: no order is open, no parcel waits, each was handled by all who listen, no mail is unsent."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from ordermill.errors import Exit, Failure
from ordermill.services import SERVICES

LOOKS_EACH = 0.05
RESTS_EACH = 0.3

# An order that settled leaves a dead entry in the index of deadlines until that is vacuumed: the last open order is
# looked for once, and then looked at by its key until it is not open any more.
_LAST_OPEN = "SELECT id FROM order_service.orders WHERE due_at IS NOT NULL ORDER BY due_at DESC LIMIT 1"
_IS_OPEN = "SELECT EXISTS (SELECT FROM order_service.orders WHERE id = $1 AND due_at IS NOT NULL)"
_STATUSES = """
    SELECT status, count(*) FROM order_service.orders WHERE created_at >= $1 GROUP BY status ORDER BY 2 DESC
"""
_UNPUBLISHED = "SELECT count(*) FROM {0}.outbox WHERE published_at IS NULL"
_DEFERRED = "SELECT count(*) FROM {0}.deferred"
_UNHANDLED = """
    SELECT count(*) FROM {1}.outbox o WHERE o.created_at >= $1 AND o.topic = ANY('{2}')
        AND NOT EXISTS (SELECT FROM {0}.inbox i WHERE i.message_id = o.id)
"""
_MAILS = "SELECT count(*) FROM notification_service.notifications WHERE status IN ('queued', 'waiting', 'sending')"
_CANCELLING = "SELECT count(*) FROM order_service.orders WHERE status = 'cancelling'"
_OWN = {"unpublished": _UNPUBLISHED, "deferred": _DEFERRED}


def waiting_for(listens: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The statements that count what waits, by kind; the parameter of some is since when parcels are looked at."""
    own = {f"{service} {name}": sql.format(service) for service in SERVICES for name, sql in _OWN.items()}
    heard = {
        f"{listener} unhandled of {teller}": _UNHANDLED.format(listener, teller, "{" + ",".join(told) + "}")
        for listener, topics in listens.items()
        for teller in SERVICES
        if (told := [topic for topic in topics if _teller(topic) == teller])
    }
    return {"cancelling": _CANCELLING, **own, **heard, "mails": _MAILS}


def _teller(topic: str) -> str:
    from contracts.catalogue import teller

    return teller(topic)


class Rest:
    """Waits for a shop to come to rest. Raises Failure when for too long nothing changes."""

    def __init__(self, database: asyncpg.Connection, listens: Mapping[str, Sequence[str]], patience: float) -> None:
        self._database = database
        self._kinds = waiting_for(listens)
        self._waiting_for = " UNION ALL ".join(f"SELECT '{kind}', ({sql})" for kind, sql in self._kinds.items())
        self._patience = patience

    async def settled(self, progress: Callable[[], Any]) -> float:
        """The moment on the monotonic clock when no order was open any more."""
        last, seen, since = None, None, time.monotonic()
        while last := await self._open(last):
            if (now_seen := progress()) != seen:
                seen, since = now_seen, time.monotonic()
            if time.monotonic() > since + self._patience:
                raise await self._failure("orders are open")
            await asyncio.sleep(LOOKS_EACH)
        return time.monotonic()

    async def _open(self, last: UUID | None) -> UUID | None:
        """An order that is open: the last one seen, while it is."""
        is_open = last and await self._database.fetchval(_IS_OPEN, last)
        found: UUID | None = last if is_open else await self._database.fetchval(_LAST_OPEN)
        return found

    async def rested(self, since: datetime) -> None:
        """Returns when nothing waits that was told since then, as one statement sees it. What waits is asked alone."""
        until = time.monotonic() + self._patience
        while waits := await self._waits(since):
            if time.monotonic() > until:
                raise await self._failure(", ".join(f"{kind}: {count}" for kind, count in waits.items()))
            await self._gone(self._kinds[max(waits, key=lambda kind: waits[kind])], since, until)

    async def _gone(self, kind: str, since: datetime, until: float) -> None:
        """Returns when nothing of this kind waits, or when it is time."""
        given = [since] if "$1" in kind else []
        while time.monotonic() < until:
            await asyncio.sleep(RESTS_EACH)
            if not await self._database.fetchval(kind, *given):
                return

    async def _waits(self, since: datetime) -> dict[str, int]:
        return {kind: count for kind, count in await self._database.fetch(self._waiting_for, since) if count}

    async def statuses(self, since: datetime) -> dict[str, int]:
        """How many orders of those placed since then are in each status."""
        return dict(await self._database.fetch(_STATUSES, since))

    async def _failure(self, what: str) -> Failure:
        cause = f"The shop did not come to rest within {self._patience:.0f} s: {what}."
        return Failure(cause, "Read the logs in the folder log of the bench's home.", Exit.TIMED_OUT)
