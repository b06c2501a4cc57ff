"""PostgreSQL: the only place that begins and commits. Statements are SQLAlchemy Core, compiled once, run by asyncpg."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
from pydantic_core import from_json, to_json
from sqlalchemy import Dialect, Table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement

CLOSING = 1.0
LONGEST = 12.0  # for a transaction: more than its role allows one statement
_DIALECT: Dialect = PGDialect_asyncpg()  # type: ignore[no-untyped-call]

# asyncpg raises InternalClientError, no PostgresError, when the server dies in a transaction (6-facts.md, 11).
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
)
CONFLICT = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.UniqueViolationError,
    asyncpg.LockNotAvailableError,
)


class Statement:
    """A Core statement compiled once: its SQL with ``$n`` and the order of its named parameters."""

    __slots__ = ("defaults", "names", "sql")

    def __init__(self, core: ClauseElement) -> None:
        compiled = core.compile(dialect=_DIALECT)
        if not isinstance(compiled, SQLCompiler) or any(bind.expanding for bind in compiled.binds.values()):
            message = "not a statement that can be compiled once: use any_(…) instead of in_(…)"
            raise TypeError(message)
        self.sql = str(compiled)
        self.names: Sequence[str] = compiled.positiontup or ()
        self.defaults: dict[str, Any] = {k: v for k, v in compiled.params.items() if not compiled.binds[k].required}

    def arguments(self, given: dict[str, Any]) -> list[Any]:
        """The values in the order of the statement's parameters.

        Raises:
            KeyError: when a parameter is missing.
        """
        return [given[name] if name in given else self.defaults[name] for name in self.names]


class Bulk:
    """A statement over many rows at once, each column one array: ``INSERT … SELECT * FROM unnest($1, $2)``."""

    __slots__ = ("_json", "columns", "sql")

    def __init__(self, table: Table, columns: Sequence[str], sql: str) -> None:
        self.columns = tuple(columns)
        self._json = tuple(isinstance(table.c[name].type, JSONB) for name in columns)
        self.sql = sql

    @classmethod
    def insert(cls, table: Table, *columns: str, conflict: str = "") -> "Bulk":
        """Adds rows. ``conflict`` is the tail of the statement, e.g. ``ON CONFLICT DO NOTHING``."""
        names = columns or tuple(column.name for column in table.c)
        selected = ", ".join(_selected(table, name) for name in names)
        target = f"{table.fullname} ({', '.join(names)})"
        sql = f"INSERT INTO {target} SELECT {selected} FROM {_unnest(table, names)} {conflict}"  # noqa: S608 -- names come from our own tables
        return cls(table, names, sql)

    @classmethod
    def upsert(cls, table: Table, *columns: str) -> "Bulk":
        """Adds rows, and replaces those whose primary key is known.

        Not for things that two transactions may add at once: the second would overwrite the first without having seen
        it, where ``insert`` fails and the pipeline decides again.
        """
        names = columns or tuple(column.name for column in table.c)
        keys = [column.name for column in table.primary_key]
        updates = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
        return cls.insert(table, *names, conflict=f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {updates}")

    @classmethod
    def update(cls, table: Table, *columns: str) -> "Bulk":
        """Changes the rows with these primary keys; ``columns`` has to name the whole key too."""
        keys = [column.name for column in table.primary_key]
        updates = ", ".join(f"{name} = {_selected(table, name)}" for name in columns if name not in keys)
        where = " AND ".join(f"t.{name} = v.{name}" for name in keys)
        sql = f"UPDATE {table.fullname} t SET {updates} FROM {_unnest(table, columns)} WHERE {where}"  # noqa: S608 -- names come from our own tables
        return cls(table, columns, sql)

    def arguments(self, rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
        """The rows, given in the order of the columns, turned into one array for each column."""
        arrays = [list(column) for column in zip(*rows, strict=True)]
        return [
            [None if value is None else to_json(value).decode() for value in array] if json else array
            for array, json in zip(arrays, self._json, strict=True)
        ]


def _kind(table: Table, name: str) -> str:
    column = table.c[name].type
    return "text" if isinstance(column, JSONB) else column.compile(dialect=_DIALECT)


def _selected(table: Table, name: str) -> str:
    return f"v.{name}::jsonb" if isinstance(table.c[name].type, JSONB) else f"v.{name}"


def _unnest(table: Table, names: Sequence[str]) -> str:
    arrays = ", ".join(f"${n}::{_kind(table, name)}[]" for n, name in enumerate(names, 1))
    return f"unnest({arrays}) AS v({', '.join(names)})"


class Transaction:
    """An open transaction. It cannot begin or commit: that is ``Database``'s."""

    __slots__ = ("_connection",)

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def fetch(self, statement: Statement, **given: Any) -> list[asyncpg.Record]:
        """All rows of a statement."""
        rows: list[asyncpg.Record] = await self._connection.fetch(statement.sql, *statement.arguments(given))
        return rows

    async def fetch_row(self, statement: Statement, **given: Any) -> asyncpg.Record | None:
        """The first row of a statement, or None."""
        return await self._connection.fetchrow(statement.sql, *statement.arguments(given))

    async def run(self, bulk: Bulk, rows: Sequence[Sequence[Any]]) -> None:
        """Writes many rows in one round trip; none when there are no rows."""
        if rows:
            await self._connection.execute(bulk.sql, *bulk.arguments(rows))

    async def sql(self, text: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of a statement written as PostgreSQL's own SQL, for what Core cannot say."""
        rows: list[asyncpg.Record] = await self._connection.fetch(text, *arguments)
        return rows

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """What is done inside is undone when it raises, and only that."""
        async with self._connection.transaction():
            yield


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=lambda value: to_json(value).decode(), decoder=from_json
    )


async def _as_it_is(_connection: asyncpg.Connection) -> None:
    """A transaction leaves nothing behind on its connection; asyncpg would ask the server to make sure, each time."""


class Database:
    """A service's connections to its own schema.

    Every connection of a service role ends a statement after 10 s, a wait for a lock after 3 s and an idle
    transaction after 5 s; the limits are the role's (``ordermill.setup``), so that a frozen process holds up nobody.
    """

    def __init__(self, url: str, *, size: int = 8, longest: float = LONGEST) -> None:
        self.url = url
        self._size = size
        self._longest = longest
        self._pool: asyncpg.Pool | None = None

    async def open(self) -> None:
        """Connects lazily: a database that is down is no reason not to start."""
        self._pool = asyncpg.create_pool(
            self.url, min_size=0, max_size=self._size, max_inactive_connection_lifetime=0, timeout=5, init=_prepare,
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
    async def transaction(self, *, read_only: bool = False, snapshot: bool = False) -> AsyncIterator[Transaction]:
        """Begins, and commits at the end; rolls back when the body raises.

        With ``snapshot`` every statement sees the database as it was at the first one (repeatable read).

        Raises:
            OUTAGE: one of these when the database cannot be reached or went away; the commit's fate is unknown then.
        """
        if self._pool is None:
            message = "the database is closed"
            raise asyncpg.InterfaceError(message)
        async with self._pool.acquire(timeout=5) as connection:
            # A server that is frozen, or whose machine is gone, enforces no limit: then the connection is cut here.
            cut = asyncio.get_running_loop().call_later(self._longest, connection.terminate)
            try:
                isolation = "repeatable_read" if snapshot else None
                async with connection.transaction(isolation=isolation, readonly=read_only):
                    yield Transaction(connection)
            finally:
                cut.cancel()

    async def connect(self) -> asyncpg.Connection:
        """A connection of its own, outside the pool, for LISTEN and advisory locks; a command ends within 20 s."""
        connection: asyncpg.Connection = await asyncpg.connect(self.url, timeout=5, command_timeout=LONGEST)
        await _prepare(connection)
        return connection
