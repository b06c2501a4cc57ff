"""Reading an order again each time that it changes: for ``Prefer: wait`` and for streams."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from re import compile as pattern
from typing import Annotated
from uuid import UUID

from fastapi import Header

from chassis.admission import HERE, Crowded
from chassis.app import Parts
from chassis.database import OUTAGE
from chassis.http import Edge
from chassis.tokens import Caller
from order_service.domain.history import HistoryEntry
from order_service.domain.order import Order
from order_service.domain.status import TERMINAL
from order_service.store import find_order, list_history

LONGEST_WAIT = 30
AT_ONCE = 100
QUIET = 30.0
Prefer = Annotated[
    str | None,
    Header(
        description="`wait=N`: the answer comes once the shop has nothing left to decide itself, or after N seconds, "
        "30 at most. `Preference-Applied` says that it waited; the order is stored before.",
        examples=["wait=10"],
    ),
]
_WAIT = pattern(r"(?:^|[,;\s])wait=(\d{1,9})(?:$|[,;\s])")


def seconds(prefer: str | None) -> int:
    """How long somebody prefers to wait (RFC 7240, 4.3), as far as they may."""
    match = _WAIT.search(prefer or "")
    return min(int(match[1]), LONGEST_WAIT) if match else 0


def looking_on(edge: Edge) -> AbstractContextManager[None]:
    """A place among those who wait for news, among those of its user, and among those from where they are.

    Raises:
        chassis.admission.Crowded: when too many do.
    """
    return HERE.looking_on_as(edge.scope["caller"].user_id, edge.site)


async def settled(edge: Edge, order_id: UUID, seconds: float) -> Order | None:
    """The order, as soon as the shop has nothing to decide about it by itself, else after so many seconds.

    None when the database is away, or too many wait already: they are told what is known.
    """
    try:
        with looking_on(edge):
            return await _settled(edge.parts, order_id, time.monotonic() + seconds)
    except (*OUTAGE, Crowded):
        return None


async def _settled(parts: Parts, order_id: UUID, until: float) -> Order | None:
    while True:
        async with _woken(parts, order_id, until - time.monotonic()) as change:
            async with parts.database.transaction(read_only=True) as tx:
                order = await find_order(tx, order_id)
            if order is None or not order.is_in_the_works or time.monotonic() >= until or HERE.is_ending:
                return order
            await change


async def steps(parts: Parts, order: Order, after: int, caller: Caller) -> AsyncIterator[HistoryEntry]:
    """What happens to an order after a version, until its state is terminal or somebody leaves: the database, or we.

    It ends before it tells anything to a session that has ended, and with the token that it was asked for with.
    """
    ended = order.is_terminal and after >= order.version
    while not (ended or HERE.is_ending) and (left := caller.good_until - time.time()) > 0:
        async with _woken(parts, order.id, min(QUIET, left)) as change:
            try:
                async with parts.database.transaction(read_only=True) as tx:
                    entries = await list_history(tx, order.id, after, AT_ONCE)
            except OUTAGE:
                return
            if entries and await parts.verifier.has_ended(caller.session_id):
                return
            for entry in entries:
                yield entry
                after, ended = entry.version, entry.to_status in TERMINAL
            ended = ended and len(entries) < AT_ONCE
            if not ended and not entries:
                await change


@asynccontextmanager
async def _woken(parts: Parts, order_id: UUID, seconds: float) -> AsyncIterator["asyncio.Task[None]"]:
    """A task that ends with the next change; it listens from before the order is read, so that none is missed."""
    change = asyncio.create_task(parts.watch.change(str(order_id), max(seconds, 0.0)))
    try:
        yield change
    finally:
        change.cancel()
