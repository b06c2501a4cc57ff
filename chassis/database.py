"""PostgreSQL: the only place that begins and commits. Statements are run by asyncpg."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from anyio import CancelScope
from asyncpg.protocol import protocol

from chassis.pool import Pool, prepare
from chassis.statements import Bulk, Statement, together

LONGEST = 11.0  # for a transaction: more than its role allows one statement
ANSWER = 1.0  # what a server that works has then to say that all is undone
IDLE = 5.0  # what its role allows a transaction between two statements
_TOO_LONG = "It takes longer than one transaction may."


class TooLong(TimeoutError):
    """It takes longer than one transaction may, and all of it is undone. The server works."""


# When the server dies in a transaction asyncpg raises InternalClientError, neither PostgresError nor InterfaceError.
OUTAGE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
)
# A server that says so works: what it undid is not to be tried again as it was, unlike after an outage.
TOO_LONG = (
    TooLong,
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
)
CONFLICT = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.UniqueViolationError,
    asyncpg.LockNotAvailableError,
)

# asyncpg asks of each value in an array whether it is an array in turn: of two abstract base classes, which takes a
# tenth of all that a worker does; and of each array of two. Ours are lists and tuples only. (Without these lines all is
# as it was, but slower.)
protocol.IterableABC = protocol.SizedABC = (list, tuple)
protocol.MappingABC = dict


class Transaction:
    """An open transaction. It cannot begin or commit: that is ``Database``'s.

    What is written waits until something is read, or until the end, and goes to the server as one statement then.
    """

    __slots__ = ("_answered", "_connection", "_notices", "_writes", "idle")

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._answered = time.monotonic()
        self.idle = 0.0
        self._writes: list[tuple[Bulk, Sequence[Sequence[Any]]]] = []
        self._notices: list[tuple[str, str]] = []

    async def fetch(self, statement: Statement, **given: Any) -> list[asyncpg.Record]:
        """All rows of a statement."""
        return await self.sql(statement.sql, *statement.arguments(given))

    async def fetch_row(self, statement: Statement, **given: Any) -> asyncpg.Record | None:
        """The first row of a statement, or None."""
        return next(iter(await self.fetch(statement, **given)), None)

    async def run(self, bulk: Bulk, rows: Sequence[Sequence[Any]]) -> None:
        """Writes many rows, together with what else is written; a table's second write waits for its first one."""
        if rows:
            if any(waiting.table == bulk.table for waiting, _ in self._writes):
                await self.flush()
            self._writes.append((bulk, rows))

    def notify(self, channel: str, *payloads: str) -> None:
        """Tells those who listen on the channel, when the transaction commits."""
        self._notices.extend((channel, payload) for payload in payloads)

    async def flush(self) -> None:
        """Sends what waits, now. Raises what any of the writes fails with."""
        if self._writes or self._notices:
            writes, notices = self._writes, self._notices
            self._writes, self._notices = [], []
            channels, payloads = zip(*notices, strict=True) if notices else ((), ())
            given = [argument for bulk, rows in writes for argument in bulk.arguments(rows)]
            sql = together(tuple(bulk for bulk, _ in writes))
            self._asks()
            await self._connection.execute(sql, *given, channels, payloads)
            self._answered = time.monotonic()

    async def sql(self, text: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of a statement written as PostgreSQL's own SQL, for what Core cannot say."""
        await self.flush()
        self._asks()
        rows: list[asyncpg.Record] = await self._connection.fetch(text, *arguments)
        self._answered = time.monotonic()
        return rows

    def _asks(self) -> None:
        self.idle = max(self.idle, time.monotonic() - self._answered)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """What is done inside is undone when it raises, and only that."""
        await self.flush()
        try:
            async with self._connection.transaction():
                yield
                await self.flush()
        except BaseException:
            self._writes, self._notices = [], []
            raise


@asynccontextmanager
async def _begun(connection: asyncpg.Connection, transaction: Any, longest: float) -> AsyncIterator[Transaction]:
    """Commits at the end; rolls back when the body raises, or takes too long."""
    await _whole(connection, transaction.start)
    tx = Transaction(connection)
    try:
        async with asyncio.timeout(longest) as limit:
            yield tx
            await tx.flush()
    except BaseException as failure:
        undoing = _whole(connection, transaction.rollback)
        is_too_long = await _undone(undoing, failure, was_idle=tx.idle >= IDLE) or limit.expired()
        if is_too_long and isinstance(failure, Exception):
            raise TooLong(_TOO_LONG) from failure
        raise
    await _whole(connection, transaction.commit)


async def _undone(undoing: Awaitable[None], failure: BaseException, *, was_idle: bool) -> bool:
    """Rolls back; whether the server had done so by itself, since it took too long. Raises what an outage raises."""
    try:
        await undoing
    except OUTAGE:
        if not was_idle and not isinstance(failure, TOO_LONG):
            raise
        return True
    return False


async def _whole(connection: asyncpg.Connection, step: Callable[[], Awaitable[None]]) -> None:
    """Begins, commits or rolls back. Whoever has to leave meanwhile cuts the connection, and cancels nothing.

    A commit that waits for a standby and is cancelled is a commit all the same: PostgreSQL gives up the wait, everybody
    sees what no standby has, and a failover would take it back. One whose client is gone goes on waiting, unseen.
    Of a beginning or an end that is cancelled nobody knows what the connection is in, and the next one would have it.
    """
    doing = asyncio.ensure_future(step())
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        connection.terminate()
        await asyncio.gather(doing, return_exceptions=True)
        raise


class Database:
    """A service's connections to its own schema.

    Every connection of a service role ends a statement after 10 s, a wait for a lock after 3 s and an idle
    transaction after 5 s; the limits are the role's (``ordermill.setup``), so that a frozen process holds up nobody.
    """

    def __init__(self, url: str, *, size: int = 8, longest: float = LONGEST) -> None:
        self.url = url
        self._longest = longest
        self._pool = Pool(url, size)

    async def open(self) -> None:
        """As ``Pool.open``."""
        await self._pool.open()

    async def close(self) -> None:
        """As ``Pool.close``."""
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False, snapshot: bool = False) -> AsyncIterator[Transaction]:
        """Begins, and commits at the end; rolls back when the body raises.

        With ``snapshot`` every statement sees the database as it was at the first one (repeatable read). A client who
        leaves breaks off none of it: asyncpg cancels a statement over one more connection, which many could ask for.

        Raises:
            TooLong: after 11 s, or 5 s between two statements, where the server works. Nothing is committed.
            OUTAGE: one of these when the database cannot be reached or went away; the commit's fate is unknown then.
                ``TooLong`` is one, for whoever need not tell them apart.
        """
        async with self._pool.connection() as connection:
            # A server that is frozen, or whose machine is gone, enforces no limit: then the connection is cut here.
            cut = asyncio.get_running_loop().call_later(self._longest + ANSWER, connection.terminate)
            try:
                isolation = "repeatable_read" if snapshot else None
                transaction = connection.transaction(isolation=isolation, readonly=read_only)
                with CancelScope(shield=True):
                    async with _begun(connection, transaction, self._longest) as tx:
                        yield tx
            finally:
                cut.cancel()

    async def connect(self) -> asyncpg.Connection:
        """A connection of its own, outside the pool, for LISTEN and advisory locks; a command ends within 20 s."""
        connection: asyncpg.Connection = await asyncpg.connect(self.url, timeout=5, command_timeout=LONGEST + ANSWER)
        await prepare(connection)
        return connection
