"""PostgreSQL in memory: transactions, row locks, savepoints, unique collisions, advisory locks, NOTIFY.

It answers the very statements that the product sends (``statements``); an unknown one is a KeyError. What happens on
the way there and back is the ``Network``'s: nothing here, whatever goes wrong in the simulation.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cached_property
from re import compile as pattern
from typing import Any

import asyncpg
from sqlalchemy import MetaData

from chassis.relay import TAKE, TAKEN_BY_A_STRANGER
from chassis.statements import Bulk, Statement
from tests.support.memory.tables import Key, Record, Row, Table, tables_of

LOCK_TIMEOUT = 3.0
_TARGET = pattern(r"(INSERT INTO|UPDATE) \w+\.(\w+)")
_NEWER = pattern(r"WHERE \w+\.(\w+) < excluded\.(\w+)")

Answers = Mapping[Any, Callable[..., Awaitable[Sequence[Any]]]]


class Network:
    """How statements travel. Here: safely, and with one turn of the loop each way."""

    async def ask(self, _transaction: "Transaction | None") -> None:
        """Before a statement has its effect."""
        await asyncio.sleep(0)

    async def commit(self, commit: Callable[[], None]) -> None:
        """Commits, somewhere on the way there and back."""
        await asyncio.sleep(0)
        commit()
        await asyncio.sleep(0)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def opened(self, session: "Transaction | Connection") -> None:
        """A transaction begins, or a connection outside of the pool."""

    def closed(self, session: "Transaction | Connection") -> None:
        """It is over."""


class Schema:
    """One service's schema: what every process of the service shares, and what survives all of them."""

    def __init__(self, metadata: MetaData, answers: Answers) -> None:
        self.name = str(metadata.schema)
        self.tables: dict[str, Table] = tables_of(metadata)
        self.answers = answers
        self.locks: dict[Hashable, Transaction | Connection] = {}
        self.waiting: defaultdict[Hashable, list[asyncio.Future[None]]] = defaultdict(list)
        self.listeners: defaultdict[str, set[Connection]] = defaultdict(set)
        self.sessions: dict[Transaction | Connection, None] = {}
        self.on_commit: Callable[[dict[str, dict[Key, Row | None]]], None] = lambda _writes: None

    def free(self, owner: "Transaction | Connection", keys: Iterable[Hashable]) -> None:
        for key in keys:
            if self.locks.get(key) is owner:
                del self.locks[key]
                for waiter in self.waiting.pop(key, ()):
                    if not waiter.done():
                        waiter.set_result(None)

    def restart(self) -> None:
        """As a server that dies: whatever was open is gone."""
        for session in list(self.sessions):
            session.end()


class Transaction:
    """An open transaction: its writes, its locks, and whether a statement of it has failed."""

    def __init__(self, schema: Schema, network: Network) -> None:
        self.schema = schema
        self.network = network
        self.now = network.now()
        self.writes: dict[str, dict[Key, Row | None]] = {}
        self.locks: dict[Hashable, None] = {}
        self.notices: list[str] = []
        self.waiting: list[tuple[Bulk, Sequence[Sequence[Any]]]] = []
        self.failed = False
        self.ended = False
        self.waits_for: Hashable = None
        schema.sessions[self] = None
        network.opened(self)

    # --- as the product sees it

    async def fetch(self, statement: Statement, **given: Any) -> list[Record]:
        await self.flush()
        return await self._run(self.schema.answers[statement], **given)

    async def fetch_row(self, statement: Statement, **given: Any) -> Record | None:
        return next(iter(await self.fetch(statement, **given)), None)

    async def sql(self, text: str, *arguments: Any) -> list[Record]:
        await self.flush()
        return await self._run(self.schema.answers[text], *arguments)

    async def run(self, bulk: Bulk, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            if any(other.table == bulk.table for other, _ in self.waiting):
                await self.flush()
            self.waiting.append((bulk, rows))

    def notify(self, channel: str, *payloads: str) -> None:
        self.notices.extend([channel] * len(payloads))

    async def flush(self) -> None:
        if self.waiting:
            waiting, self.waiting = self.waiting, []
            await self._run(_write, waiting)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        await self.flush()
        await self.network.ask(self)
        self.alive()
        kept = {name: dict(rows) for name, rows in self.writes.items()}
        notices = list(self.notices)
        try:
            yield
            await self.flush()
        except BaseException:
            self.waiting = []
            await self.network.ask(None)
            self.alive()
            self.writes, self.notices, self.failed = kept, notices, False
            raise
        self._unfailed()

    async def _run(self, answer: Callable[..., Awaitable[Any]], *arguments: Any, **given: Any) -> Any:
        self.alive()
        try:
            await self.network.ask(self)
            self.alive()
            self._unfailed()
            return await answer(self, *arguments, **given)
        except Exception:
            self.failed = True
            raise

    def _unfailed(self) -> None:
        if self.failed:
            raise asyncpg.InFailedSQLTransactionError

    # --- as the statements see it

    def all(self, table: str) -> Iterable[Row]:
        """The rows that this transaction sees."""
        rows, mine = self.schema.tables[table].rows, self.writes.get(table)
        return list(rows.values()) if not mine else [row for row in {**rows, **mine}.values() if row is not None]

    def get(self, table: str, key: Key) -> Row | None:
        mine = self.writes.get(table)
        return mine[key] if mine and key in mine else self.schema.tables[table].rows.get(key)

    def put(self, table: str, row: Row) -> None:
        kept = self.schema.tables[table]
        kept.check(row)
        self.writes.setdefault(table, {})[kept.key(row)] = row

    def delete(self, table: str, row: Row) -> None:
        self.writes.setdefault(table, {})[self.schema.tables[table].key(row)] = None

    async def locked(self, table: str, rows: Iterable[Row], *, free: int | None = None) -> list[Row]:
        """The rows as they are once they are this transaction's, in this order; or the first so many that are free."""
        keys = [self.schema.tables[table].key(row) for row in rows]
        if free is not None:
            keys = [key for key in keys if self.is_free((table, key))][:free]
        for key in keys:
            await self.lock((table, key))
        return [row for key in keys if (row := self.get(table, key)) is not None]

    def is_free(self, lock: Hashable) -> bool:
        return self.schema.locks.get(lock) in {None, self}

    async def lock(self, lock: Hashable) -> None:
        """Waits for whoever holds it.

        Raises:
            asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError: as PostgreSQL does.
        """
        while not self.is_free(lock):
            await self._wait(lock)
        self.schema.locks[lock] = self
        self.locks[lock] = None

    async def _wait(self, lock: Hashable) -> None:
        self.waits_for = lock
        if self._is_in_a_circle():
            raise asyncpg.DeadlockDetectedError
        released: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.schema.waiting[lock].append(released)
        try:
            async with asyncio.timeout(LOCK_TIMEOUT):
                await released
        except TimeoutError:
            raise asyncpg.LockNotAvailableError from None
        finally:
            self.waits_for = None
        self.alive()

    def _is_in_a_circle(self) -> bool:
        owner = self.schema.locks.get(self.waits_for)
        while isinstance(owner, Transaction) and owner is not self and owner.waits_for is not None:
            owner = self.schema.locks.get(owner.waits_for)
        return owner is self

    async def insert(self, table: str, row: Row) -> Row | None:
        """Adds a row, or gives the one that is in its way; who adds the same meanwhile is waited for."""
        kept = self.schema.tables[table]
        row = kept.complete(row, self.now)
        kept.check(row)
        key = kept.key(row)
        await self.lock((table, key))
        if (known := self.get(table, key)) is not None:
            return known
        if (known := await self._twin(kept, key, row)) is not None:
            return known
        self.put(table, row)
        return None

    async def _twin(self, kept: Table, key: Key, row: Row) -> Row | None:
        for unique in kept.uniques:
            if (value := unique.value(row)) is None:
                continue
            await self.lock((kept.name, unique.name, value))
            mine = self.writes.get(kept.name, {})
            for other, written in mine.items():
                if written is not None and other != key and unique.value(written) == value:
                    return written
            owner = kept.taken[unique.name].get(value)
            if owner is not None and owner != key and owner not in mine:
                return kept.rows[owner]
        return None

    async def update(self, table: str, row: Row) -> None:
        """Replaces a row that is locked.

        Raises:
            asyncpg.UniqueViolationError: when another one has what has to be unique.
        """
        kept = self.schema.tables[table]
        if await self._twin(kept, kept.key(row), row) is not None:
            raise asyncpg.UniqueViolationError(table)
        self.put(table, row)

    def records(self, table: str, rows: Iterable[Row]) -> list[Record]:
        return self.schema.tables[table].records(rows)

    # --- the end

    def alive(self) -> None:
        if self.ended:
            raise asyncpg.ConnectionDoesNotExistError("the connection was closed in the middle of operation")

    def commit(self) -> None:
        self.alive()
        if self.failed:
            self.writes = {}  # PostgreSQL answers ROLLBACK, and no error
        before = {
            name: {key: self.schema.tables[name].store(key, row) for key, row in rows.items()}
            for name, rows in self.writes.items()
        }
        notices = [] if self.failed else self.notices
        self.end()
        for channel in dict.fromkeys(notices):
            for connection in list(self.schema.listeners[channel]):
                connection.notify(channel)
        self.schema.on_commit(before)

    def end(self) -> None:
        """Rolls back, unless it was committed."""
        self.ended = True
        self.schema.sessions.pop(self, None)
        self.network.closed(self)
        self.schema.free(self, self.locks)


async def _write(tx: Transaction, writes: Iterable[tuple[Bulk, Sequence[Sequence[Any]]]]) -> None:
    for bulk, rows in writes:
        await _write_one(tx, bulk, rows)


async def _write_one(tx: Transaction, bulk: Bulk, rows: Sequence[Sequence[Any]]) -> None:
    verb, table = _TARGET.match(bulk.sql).groups()  # type: ignore[union-attr]
    kept = tx.schema.tables[table]
    for given in (kept.given(bulk.columns, row) for row in rows):
        if verb == "UPDATE":
            for known in await tx.locked(table, [given]):
                await tx.update(table, known | given)
        elif (known := await tx.insert(table, given)) is not None:
            await _collide(tx, bulk, table, known, given)


async def _collide(tx: Transaction, bulk: Bulk, table: str, known: Row, given: Row) -> None:
    if "DO UPDATE" in bulk.sql:
        newer = _NEWER.search(bulk.sql)
        if newer is None or known[newer[1]] < given[newer[2]]:
            await tx.update(table, known | given)
    elif "DO NOTHING" not in bulk.sql:
        raise asyncpg.UniqueViolationError(table)


class Connection:
    """A connection outside of the pool: statements that commit by themselves, advisory locks, LISTEN."""

    def __init__(self, schema: Schema, network: Network) -> None:
        self._schema = schema
        self._network = network
        self._listening: dict[str, Callable[..., None]] = {}
        self._locks: dict[Hashable, None] = {}
        self._ended = False
        schema.sessions[self] = None
        network.opened(self)

    async def fetch(self, text: str, *arguments: Any) -> list[Record]:
        if self._ended:
            raise asyncpg.ConnectionDoesNotExistError("connection is closed")
        tx = Transaction(self._schema, self._network)
        try:
            rows = await tx.sql(text, *arguments)
            await self._network.commit(tx.commit)
        finally:
            tx.end()
        return rows

    async def execute(self, text: str, *arguments: Any) -> None:
        if not text.startswith("SET "):
            await self.fetch(text, *arguments)

    async def fetchval(self, text: str, *arguments: Any) -> Any:
        await self._network.ask(None)
        if self._ended:
            raise asyncpg.ConnectionDoesNotExistError("connection is closed")
        if text == TAKEN_BY_A_STRANGER:
            return False
        if text != TAKE:
            raise KeyError(text)
        lock = ("advisory", *arguments)
        if self._schema.locks.setdefault(lock, self) is self:
            self._locks[lock] = None
            return True
        return False

    async def add_listener(self, channel: str, heard: Callable[..., None]) -> None:
        await self._network.ask(None)
        self._listening[channel] = heard
        self._schema.listeners[channel].add(self)

    def notify(self, channel: str) -> None:
        asyncio.get_running_loop().call_soon(self._listening[channel])

    def terminate(self) -> None:
        self.end()

    def end(self) -> None:
        self._ended = True
        self._schema.sessions.pop(self, None)
        self._network.closed(self)
        self._schema.free(self, self._locks)
        for channel in self._listening:
            self._schema.listeners[channel].discard(self)


class Database:
    """One process's way to its schema, as ``chassis.database.Database`` is."""

    def __init__(self, schema: Schema, network: Network | None = None) -> None:
        self.schema = schema
        self.network = network or Network()

    @cached_property
    def url(self) -> str:
        return f"memory://{self.schema.name}"

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[Transaction]:
        """As the product's, without its snapshots, which only people's commands ask for."""
        await self.network.ask(None)
        tx = Transaction(self.schema, self.network)
        try:
            yield tx
            await tx.flush()
            await self.network.commit(tx.commit)
        finally:
            tx.end()

    async def connect(self) -> Connection:
        await self.network.ask(None)
        return Connection(self.schema, self.network)
