"""The one way through every service: take what waits, decide it in one transaction, then answer and acknowledge.

Natural batching: whatever queued up while the last batch was settled forms the next one. A batch costs the same
statements whatever its size, so under load they begin at a pace; what comes to an idle service is settled at once.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from math import inf
from typing import Any

from loguru import logger

from chassis import heartbeat, telemetry
from chassis.batch import Batch, Work
from chassis.context import Context, new_traceparent, start
from chassis.database import CONFLICT, OUTAGE, TOO_LONG, Database, Transaction
from chassis.deferred import Deferred
from chassis.handover import Handed, Handover
from chassis.idempotency import Answer, Claim
from chassis.ids import new_id
from chassis.items import Again, Command, Entry, Parcel, Unavailable, Waiting, give_up, goes_alone, refuse
from chassis.settled import tell
from chassis.share import Share
from chassis.tasks import Signal
from contracts.envelope import Envelope, decode

BATCH_ITEMS, WAITING_ITEMS = 200, 5_000
# Seconds from the beginning of a batch to that of the next, unless a whole one waits: at least as many, but on a busy
# machine so many times what the last one took, up to a limit. More come together then, which is less work for each.
PACE, SHARE, LONGEST_PACE = 0.008, 2, 0.05
CONFLICT_RETRIES = 3
LONGEST_PAUSE = 1.0
OVERDUE, CLOSING = 4.0, 2.0


class Pipeline:
    """A service's pipeline. One batch is settled at a time; commands wait in the order in which they came."""

    def __init__(self, service: str, database: Database, work: Work) -> None:
        self.service = service
        self.committed = Signal()
        self.handover: Handover | None = None
        self._database = database
        self._work = work
        self._waiting = Waiting()
        self._share = Share()
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._pause = self._resume_at = 0.0
        self._began, self._took = -inf, 0.0
        self._overdue = self._closing = False

    # --- in

    async def submit(
        self,
        body: object,
        *,
        actor: str = "system",
        context: Context | None = None,
        claim: Claim | None = None,
        render: Callable[[Any], Answer] | None = None,
    ) -> Any:
        """Decides a command; returns its reply, rendered where there is a ``render``, once it is committed.

        A caller who leaves before the command is taken takes it along; once taken, it runs to the end. One who waits
        for a rendered answer is told after four seconds to ask again, instead of having it taken late.

        Raises:
            Unavailable: when the database is away, or too much is waiting. The command's fate may be unknown.
            Exception: the domain's refusal; ``KeyInUse`` and ``KeyReused`` for the claim.
        """
        loop = asyncio.get_running_loop()
        if not self._is_open() or (self._overdue and render):
            raise Unavailable
        settled: asyncio.Future[Any] = loop.create_future()
        asked = context or start(None, new_traceparent())
        until = loop.time() + OVERDUE if render else inf
        self._put(Command(body, new_id(), actor, asked, claim, render, settled, until))
        outcome = await settled
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def submit_each(self, asked: Iterable[tuple[object, Context]], *, actor: str = "system") -> list[Any]:
        """Decides commands that are known together, whether or not the caller stays. Raises nothing.

        Returns each one's reply, or what it failed with: ``Unavailable`` where its fate may be unknown.
        """
        future = asyncio.get_running_loop().create_future
        commands = [Command(body, new_id(), actor, context, None, None, future()) for body, context in asked]
        for command in commands:
            if self._is_open():
                self._put(command)
            else:
                refuse(command)
        while waiting := [command.settled for command in commands if not command.settled.done()]:
            await asyncio.wait(waiting[:1])  # the first one of a batch is known when all of it is
        return [command.settled.result() for command in commands]

    def _is_open(self) -> bool:
        is_full = self._waiting.items >= WAITING_ITEMS
        return not (self._closing or is_full or asyncio.get_running_loop().time() < self._resume_at)

    async def handle(self, message_id: Any, envelopes: Sequence[Envelope[Any]]) -> None:
        """Settles a parcel; returns when its effect is committed, so that it may be acknowledged.

        While the database is away the parcel waits here: nothing is lost when the process dies, the broker has it.
        """
        settled: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._put(Parcel(message_id, envelopes, settled))
        await settled

    async def retry(self, rows: Sequence[Deferred]) -> bool:
        """Tries deferred events again, together; what fails is deferred further. False when the database went away.

        Raises:
            KeyError, pydantic.ValidationError: when an event cannot be read.
        """
        loop = asyncio.get_running_loop()
        entries = [Again(row, decode(row.topic, row.body.encode())[0], loop.create_future()) for row in rows]
        for entry in entries:
            self._put(entry)
        outcomes = await asyncio.gather(*(entry.settled for entry in entries))
        return not any(isinstance(outcome, Unavailable) for outcome in outcomes)

    def _put(self, entry: Entry) -> None:
        self._waiting.put(entry)
        self._idle.clear()
        self._arrived.set()

    # --- through

    async def run(self) -> None:
        """Settles batch after batch until it is closed and nothing waits."""
        with heartbeat.beating(f"{self.service} pipeline"):
            while not (self._closing and not self._waiting):
                await self._gather()
                if not await self.step():
                    self._idle.set()
                    heartbeat.rest()
                    await self._arrived.wait()
                    self._idle.clear()
                heartbeat.beat()
        self._idle.set()

    async def _gather(self) -> None:
        """Lets more come in, when the last batch began only just now."""
        pace = min(max(PACE, SHARE * self._took), LONGEST_PACE)
        early = self._began + pace - asyncio.get_running_loop().time()
        if early > 0 and 0 < self._waiting.items < BATCH_ITEMS and not self._closing:
            await asyncio.sleep(early)

    async def step(self) -> bool:
        """Settles what waits, up to 200 items, fewer after such that took too long; False when nothing waited."""
        self._arrived.clear()
        loop = asyncio.get_running_loop()
        if not (entries := self._waiting.take(self._share.of(BATCH_ITEMS, loop.time()), loop.time())):
            return False
        is_last = self._share.is_least or goes_alone(entries[0])
        batch, self._began = Batch(self._work, entries, Handed(self.handover), is_last), loop.time()
        timers = loop.call_later(OVERDUE, self._shed), loop.call_later(2 * OVERDUE, give_up, () if is_last else entries)
        try:
            await self._commit(batch)
        except (*OUTAGE, *TOO_LONG) as outage:
            await self._interrupted(entries, outage)
        except Exception as failure:  # noqa: BLE001 -- whatever it is, facts must wait and callers must be told
            logger.opt(exception=failure).error("a batch of {} failed as a whole", len(entries))
            await self._interrupted(entries, failure)
        else:
            self._pause = 0.0
            self._took = loop.time() - self._began
            self._settled(batch, self._took)
        finally:
            batch.handed.forget(0.0)
            for timer in timers:
                timer.cancel()
            self._overdue = False
        return True

    def _shed(self) -> None:
        """The batch takes so long that nobody knows when the next one begins: who can ask again later is told so."""
        self._overdue = True
        give_up(self._waiting)

    async def _commit(self, batch: Batch) -> None:
        try:
            await self._decide(batch)
        except TOO_LONG:
            if not batch.is_last:
                self._share.lessen(batch.entries, asyncio.get_running_loop().time())
                raise
            await self._attempt(batch, batch.none)

    async def _decide(self, batch: Batch) -> None:
        for attempt in range(CONFLICT_RETRIES):
            try:
                await self._attempt(batch, batch.together)
            except CONFLICT as conflict:
                logger.debug("conflict, again: {!r}", conflict)
                await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 -- jitter is no secret
            except OUTAGE:
                raise
            except Exception as failure:  # noqa: BLE001 -- whose failure it is comes out one by one
                # Its type alone: an argument that PostgreSQL refuses stands in the failure's text.
                logger.warning("a batch of {} failed, one by one now: {}", len(batch.entries), type(failure).__name__)
                break
            else:
                return
        await self._attempt(batch, batch.one_by_one)

    async def _attempt(self, batch: Batch, how: Callable[[Transaction], Awaitable[None]]) -> None:
        batch.forget(asyncio.get_running_loop().time())
        heartbeat.beat()
        async with self._database.transaction() as tx:
            await how(tx)

    # --- out

    def _settled(self, batch: Batch, seconds: float) -> None:
        batch.handed.begin()
        if batch.tells:
            self._work.outbox.committed()
        for entry in batch.entries:
            if not entry.settled.done():
                entry.settled.set_result(batch.outcomes.get(entry))
        tell(self.service, batch.settled, seconds)
        telemetry.BATCH.labels(self.service).observe(sum(entry.size for entry in batch.entries))
        telemetry.BATCH_SECONDS.labels(self.service).observe(seconds)
        self.committed.fire()

    async def _interrupted(self, entries: Sequence[Entry], cause: BaseException) -> None:
        """Nothing is rerun: callers are told to ask again, facts wait here in their order for a new transaction."""
        self._pause = min(max(self._pause * 2, 0.1), LONGEST_PAUSE)
        pause = random.uniform(self._pause / 2, self._pause)  # noqa: S311 -- jitter is no secret
        logger.warning("{} interrupted, again in {:.1f} s: {!r}", len(entries), pause, cause)
        self._resume_at = asyncio.get_running_loop().time() + pause
        self._waiting.put_back(entries)
        await asyncio.sleep(pause)

    async def close(self) -> None:
        """Takes no more commands and settles what waits, within two seconds: what the broker sent, it has still."""
        self._closing = True
        self._arrived.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await self._idle.wait()
