"""A service's worker: its consumer, relay, loops, the deferred runner and the hourly housekeeping."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

from loguru import logger

from chassis import heartbeat
from chassis.app import Apart, Loop, Parts, opened
from chassis.consumer import Consumer
from chassis.database import OUTAGE
from chassis.deferred import UNREADABLE, Deferred
from chassis.parcels import read, unpacked
from chassis.relay import Relay
from chassis.tasks import Signal, forever, running, side_by_side

DEFERRED_AT_ONCE = 100
KEPT_DAYS = {"local": 2, "production": 31}
HOUR = 3600.0
UNCOUNT = 0.2
FINISHING = 3.0


class Worker:
    """Everything of a service that nobody calls over HTTP."""

    def __init__(self, parts: Parts) -> None:
        name, urls = parts.service.name, parts.settings.broker_url.get_secret_value()
        self.parts = parts
        self.consumer = Consumer(name, urls, parts.database, parts.pipeline, parts.work)
        self.relay = parts.work.outbox.relay = Relay(name, parts.database, urls)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Opens the parts and works until the end of the body; then takes nothing more and finishes what it has."""
        parts, name = self.parts, self.parts.service.name
        loops = (
            *parts.service.loops,
            Loop("deferred", retry_deferred, woken=False),
            Loop("housekeeping", keep_house, every=HOUR, woken=False),
        )
        relay, pipeline = forever(f"{name} relay", self.relay.run), forever(f"{name} pipeline", parts.pipeline.run)
        consumer = forever(f"{name} consumer", self.consumer.run)
        async with opened(parts, relay, pipeline):
            with taking_over(parts):
                async with side_by_side(running(consumer), _looping(loops, parts)):
                    yield

    async def checks(self) -> dict[str, str | None]:
        """Why this worker is not ready, by check."""
        return {
            "consumer": None if self.consumer.consuming or not self.parts.work.decisions.topics else "does not consume",
            "relay": None if self.relay.active or self.relay.stands_by else "does not relay",
        }


@contextmanager
def taking_over(parts: Parts) -> Iterator[None]:
    """Until the end of the body what the service's decisions make for its loop is handed over to it."""
    if parts.service.handover is not None:
        parts.pipeline.handover = parts.service.handover(parts)
    try:
        yield
    finally:
        parts.pipeline.handover = None


def _signal(parts: Parts) -> Signal:
    """What brings the next look of a loop forward."""
    handover = parts.pipeline.handover
    return parts.pipeline.committed if handover is None else handover.left


@asynccontextmanager
async def _looping(loops: Sequence[Loop], parts: Parts) -> AsyncIterator[None]:
    """Runs loops beside the body. At its end each has three seconds to finish the step that it is in."""
    ended = asyncio.Event()
    tasks = [asyncio.create_task(_loop(loop, parts, ended)) for loop in loops]
    async with running(*tasks):
        yield
        ended.set()
        _signal(parts).fire()
        await asyncio.wait(tasks, timeout=FINISHING)


async def _loop(loop: Loop, parts: Parts, ended: asyncio.Event) -> None:
    async def work() -> None:
        with heartbeat.beating(f"{parts.service.name} {loop.name}"):
            while not ended.is_set():
                seen = _signal(parts).count
                heartbeat.beat()
                if not await loop.step(parts):
                    heartbeat.rest()
                    await _until_next(loop, parts, seen, ended)

    with logger.contextualize(service=parts.service.name):
        await forever(loop.name, work, until=ended)


async def _until_next(loop: Loop, parts: Parts, seen: int, ended: asyncio.Event) -> None:
    if loop.woken:
        await _signal(parts).after(seen, loop.every)
    else:
        with suppress(TimeoutError):
            async with asyncio.timeout(loop.every):
                await ended.wait()


async def retry_deferred(parts: Parts) -> bool:
    """Tries what is due: together what failed before, alone and counted what may have killed a process."""
    async with parts.database.transaction(read_only=True) as tx:
        due = await parts.work.deferred.due(tx, DEFERRED_AT_ONCE)
    readable = [event for event in due if await _is_readable(parts, event)]
    for parcel in (event for event in readable if event.index == UNREADABLE):
        await _unpack(parts, parcel)
    events = [event for event in readable if event.index != UNREADABLE]
    await parts.pipeline.retry([event for event in events if not event.careful])
    for event in (event for event in events if event.careful):
        await _retry_carefully(parts, event)
    return bool(due)


async def _is_readable(parts: Parts, event: Deferred) -> bool:
    """Whether this release can read the event, and listens to it; if not, it is parked and holds up nobody."""
    try:
        read(event.topic, event.body.encode())
        reason = "" if event.topic in parts.work.decisions.topics else "no decision names it any more"
    except (ValueError, KeyError) as failure:
        reason = repr(failure)
    if reason:
        logger.error("a deferred event of {} cannot be tried again and is parked", event.topic)
        async with parts.database.transaction() as tx:
            await parts.work.deferred.park(tx, event, reason)
    return not reason


async def _unpack(parts: Parts, parcel: Deferred) -> None:
    """A parcel that could not be read when it came, and now can: it becomes its events, unless it was handled since."""
    async with parts.database.transaction() as tx:
        if await parts.work.deferred.take(tx, [parcel]):
            claimed = await parts.work.inbox.claim(tx, [parcel.message_id], [])
            await parts.work.deferred.add(tx, unpacked(parcel) if claimed.fresh else [])


async def _retry_carefully(parts: Parts, event: Deferred) -> None:
    heartbeat.beat()
    async with parts.database.transaction() as tx:
        state = await parts.work.deferred.start(tx, event, apart=parts.apart is not None)
    if state == "parked":
        logger.error("an event of {} is parked at its third start", event.topic)
    elif state == "apart" and parts.apart is not None:
        await _try_apart(parts, event, parts.apart)
    elif state == "deferred":
        settled = await parts.pipeline.retry([event])
        while not settled:
            heartbeat.beat()
            await asyncio.sleep(UNCOUNT)
            with suppress(*OUTAGE):
                async with parts.database.transaction() as tx:
                    await parts.work.deferred.uncount(tx, event)
                settled = True


async def _try_apart(parts: Parts, event: Deferred, apart: Apart) -> None:
    """Two deaths may be accidents: who dies of it now, with nothing else to do, dies of this event."""
    if not await apart(event):
        logger.error("an event of {} is parked: its process died of it", event.topic)
        async with parts.database.transaction() as tx:
            await parts.work.deferred.park(
                tx, event, f"its process died at start {event.attempts + 1}, apart from others"
            )


async def keep_house(parts: Parts) -> bool:
    """Makes tomorrow's partitions, drops expired ones, forgets old idempotency keys."""
    name = parts.service.name
    async with parts.database.transaction() as tx:
        await tx.sql(f"SELECT {name}.maintain_partitions($1)", KEPT_DAYS[parts.settings.profile])
    async with parts.database.transaction() as tx:
        return await parts.work.claims.expire(tx) > 0
