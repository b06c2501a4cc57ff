"""The ledger service on a real PostgreSQL: one database a run, emptied for each test."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.database import Database
from chassis.migrations import keep_acts
from chassis.partitions import add_partitions, note_what_is_kept
from chassis.pipeline import Pipeline
from chassis.tasks import running
from tests.support import ledger
from tests.support.database import make_roles, within


@pytest.fixture(scope="session")
async def ledger_database(postgres: str, run_folder: Path) -> AsyncIterator[str]:
    name = f"ledger_{uuid4().hex}"
    server = await asyncpg.connect(postgres)
    await server.execute(f"CREATE DATABASE {name}")
    url = within(postgres, name)
    await make_roles(url, run_folder / "template.lock", ledger.SERVICE)
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))
    async with engine.begin() as begun:
        await begun.run_sync(ledger.metadata.create_all)
        for add in (add_partitions, note_what_is_kept, keep_acts):
            await begun.run_sync(lambda sync, add=add: add(sync.exec_driver_sql, ledger.SERVICE))
    await engine.dispose()
    yield url
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


@pytest.fixture
async def ledger_url(ledger_database: str) -> str:
    """As the owner of the schema."""
    connection = await asyncpg.connect(ledger_database)
    # TRUNCATE makes new files for all of them, which takes a quarter of a second; triggers keep acts from going.
    tables = reversed(ledger.metadata.sorted_tables)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("".join(f"DELETE FROM {table.fullname};" for table in tables))  # noqa: S608 -- our own
    await connection.close()
    return ledger_database


@pytest.fixture
def service_url(ledger_url: str) -> str:
    """As the service's own role."""
    _, _, place = ledger_url.rpartition("@")
    return f"postgresql://{ledger.SERVICE}:test@{place}"


@pytest.fixture
async def database(service_url: str) -> AsyncIterator[Database]:
    database = Database(service_url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def idle(database: Database) -> Pipeline:
    """A pipeline that the test itself drives, step by step."""
    return ledger.a_pipeline(database)


@pytest.fixture
async def pipeline(idle: Pipeline) -> AsyncIterator[Pipeline]:
    async with running(idle.run()):
        yield idle
        await idle.close()


@pytest.fixture
def rows(ledger_url: str):
    """The rows of a statement, as tuples, seen by the owner of the schema."""

    async def read(statement: str, *arguments: object) -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(ledger_url)
        try:
            return [tuple(row) for row in await connection.fetch(statement.replace("$S", ledger.SERVICE), *arguments)]
        finally:
            await connection.close()

    return read
