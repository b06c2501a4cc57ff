"""Orders seen from outside: when a commit announces some of those that are marked, they are looked up at once.

A mark is the last letter of an order's id as clients see it, which is random: the load generator and this process know
the same orders without a word between them.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg

from chassis.ids import ALPHABET

WANTED = 1_000
CHANNEL = "order_service_changed"

_CONFIRMED = "SELECT id FROM order_service.orders WHERE id = ANY($1::uuid[]) AND status = 'confirmed'"


def marks(orders: int) -> str:
    """The letters that mark about a thousand of so many orders, or all of them."""
    return ALPHABET[: min(len(ALPHABET), 1 + len(ALPHABET) * WANTED // max(orders, 1))]


class Watch:
    """When each marked order was first seen to be confirmed, on the monotonic clock."""

    def __init__(self, marked: str) -> None:
        self.confirmed: dict[UUID, float] = {}
        self._marked = {ALPHABET.index(letter) for letter in marked}
        self._announced: set[UUID] = set()
        self._is_announced = asyncio.Event()

    def announced(self, *message: Any) -> None:
        """A commit has touched these orders."""
        for text in message[3].split():
            if int(text[-2:], 16) % len(ALPHABET) in self._marked:
                self._announced.add(UUID(text))
                self._is_announced.set()

    async def look(self, database: asyncpg.Connection) -> None:
        """Looks up what was announced, again and again."""
        while True:
            await self._is_announced.wait()
            self._is_announced.clear()
            asked, self._announced = self._announced - self.confirmed.keys(), set()
            found = await database.fetch(_CONFIRMED, list(asked)) if asked else ()
            now = time.monotonic()
            self.confirmed.update((row[0], now) for row in found)


@asynccontextmanager
async def watching(url: str, marked: str) -> AsyncIterator[Watch]:
    """Watches marked orders while the block runs, over two connections of the owner."""
    watch = Watch(marked)
    listener, database = await asyncpg.connect(url), await asyncpg.connect(url)
    looking = asyncio.create_task(watch.look(database))
    try:
        await listener.add_listener(CHANNEL, watch.announced)
        yield watch
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        listener.terminate()
        database.terminate()
