"""A process's connections to its database, and who has one next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import asyncpg
from pydantic_core import from_json, to_json

from chassis.line import Line
from chassis.permits import asking

CLOSING = 1.0
PATIENCE = 5.0  # for a connection
_NOT_FOR_ASKERS = 2  # connections


class Pool:
    """At most ``size`` connections.

    Requests that are worked on take turns by place, and leave two of the connections to the pipeline and the loops: of
    whoever asks for hundreds of lists at once, only they themselves wait for them.
    """

    def __init__(self, url: str, size: int) -> None:
        self._url = url
        self._size = size
        self._askers = Line(max(1, size - _NOT_FOR_ASKERS))
        self._pool: asyncpg.Pool | None = None

    async def open(self) -> None:
        """Connects lazily: a database that is down is no reason not to start."""
        self._pool = asyncpg.create_pool(
            self._url, min_size=0, max_size=self._size, max_inactive_connection_lifetime=0, timeout=5, init=prepare,
            reset=_as_it_is,
        )  # fmt: skip
        await self._pool

    async def close(self) -> None:
        """Closes the connections; those that are still in use after a second are cut."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSING):
                    await pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """One of them. Raises TimeoutError after 5 s without one, InterfaceError when they are closed."""
        if self._pool is None:
            message = "the database is closed"
            raise asyncpg.InterfaceError(message)
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(PATIENCE):
                if (permit := asking.get()) is not None:
                    await stack.enter_async_context(self._askers.turn(permit.place))
                # asyncpg gives a connection that is put back as long as it was asked for.
                connection = await stack.enter_async_context(self._pool.acquire(timeout=PATIENCE))
            yield connection


async def prepare(connection: asyncpg.Connection) -> None:
    """What each connection is told first: JSON is bytes of ours."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=lambda value: to_json(value).decode(), decoder=from_json
    )


async def _as_it_is(_connection: asyncpg.Connection) -> None:
    """A transaction leaves nothing behind on its connection; asyncpg would ask the server to make sure, each time."""
