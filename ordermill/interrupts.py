"""Ctrl+C for commands that finish what they have begun."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def ctrl_c(stop: asyncio.Event) -> Iterator[None]:
    """The first Ctrl+C sets the event, so that what was begun is still finished; the second ends the command."""
    loop = asyncio.get_running_loop()

    def first() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        stop.set()

    loop.add_signal_handler(signal.SIGINT, first)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def pause(stop: asyncio.Event, seconds: float) -> bool:
    """Waits so long, or until the event is set; says whether it is."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    return stop.is_set()
