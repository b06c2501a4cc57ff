"""Background tasks that must live: they log what goes wrong, go on, and end with their owner.

``asyncio.timeout`` everywhere: before Python 3.12 ``wait_for`` swallows a cancellation that comes with the result.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from loguru import logger

PATIENCE = 4.0
STARTING = 30.0


async def forever(
    name: str, work: Callable[[], Awaitable[None]], *, longest_pause: float = 2.0, until: asyncio.Event | None = None
) -> None:
    """Runs ``work`` again whenever it fails, after a pause with jitter that doubles up to ``longest_pause`` seconds.

    It ends with a work that ends after ``until`` was set. It catches ``Exception``: asyncpg and aio-pika raise more
    than they document when a server dies. That a server is not there yet, in the first 30 s, is not
    warned of: processes and servers start side by side.
    """
    pause, worked, clock = 0.1, False, asyncio.get_running_loop().time
    began = clock()
    while until is None or not until.is_set():
        started = clock()
        try:
            await work()
        except Exception as failure:  # noqa: BLE001 -- a loop that must live
            awaited = isinstance(failure, ConnectionError) and not worked and started - began < STARTING
            level = "DEBUG" if awaited else "WARNING"
            logger.log(level, "{} failed, again in {:.1f} s: {!r}", name, pause, failure)
        if clock() - started > longest_pause:
            pause, worked = 0.1, True
        await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 -- jitter is no secret
        pause = min(pause * 2, longest_pause)


class Signal:
    """Something that happens again and again. Whoever waits says how often they have seen it: none is missed."""

    def __init__(self) -> None:
        self.count = 0
        self._next = asyncio.Event()

    def fire(self) -> None:
        """It happened."""
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()

    async def after(self, seen: int, timeout: float) -> None:  # noqa: ASYNC109 -- not to wait longer is the point
        """Returns when it has happened more than ``seen`` times, or after ``timeout`` seconds."""
        if self.count == seen:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._next.wait()


@asynccontextmanager
async def running(*works: Awaitable[object]) -> AsyncIterator[None]:
    """Runs works beside the body and cancels them at its end; again and again, should a library swallow it."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            while not task.done():
                await asyncio.wait({task}, timeout=PATIENCE)
                task.cancel()
            with suppress(asyncio.CancelledError):
                task.result()


@asynccontextmanager
async def side_by_side(*contexts: AbstractAsyncContextManager[object]) -> AsyncIterator[None]:
    """Enters contexts at once and leaves them at once, each in a task of its own: none waits for another's end."""
    ended = asyncio.Event()
    entered = [asyncio.Event() for _ in contexts]

    async def live(context: AbstractAsyncContextManager[object], is_in: asyncio.Event) -> None:
        async with context:
            is_in.set()
            await ended.wait()

    async with asyncio.TaskGroup() as lives:
        for context, is_in in zip(contexts, entered, strict=True):
            lives.create_task(live(context, is_in))
        for is_in in entered:
            await is_in.wait()
        try:
            yield
        finally:
            ended.set()
