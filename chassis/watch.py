"""Who waits for a thing to change: one LISTEN connection a process wakes them, with a poll each second as the net."""

import asyncio
from collections import defaultdict
from contextlib import suppress

from chassis.database import Database

POLL = 1.0


class Watch:
    """The notifications of one channel, whose payload is a list of ids separated by spaces."""

    def __init__(self, database: Database, channel: str) -> None:
        self._database = database
        self._channel = channel
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)

    async def run(self) -> None:
        """Listens until the connection is lost."""
        connection = await self._database.connect()
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(self._channel, lambda *message: self.changed(message[3]))
            await lost.wait()
        finally:
            connection.terminate()

    def changed(self, payload: str) -> None:
        """Wakes those who wait for one of these ids; an empty payload, cut at its limit, wakes all."""
        for key in payload.split() or list(self._waiting):
            for event in self._waiting.get(key, ()):
                event.set()

    async def change(self, key: str, timeout: float) -> None:  # noqa: ASYNC109 -- not to be awaited longer is the point
        """Returns when the thing may have changed: told, or after ``timeout`` seconds, and after one second at most."""
        event = asyncio.Event()
        self._waiting[key].add(event)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(timeout, POLL)):
                    await event.wait()
        finally:
            self._waiting[key].discard(event)
            if not self._waiting[key]:
                del self._waiting[key]
