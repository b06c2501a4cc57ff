"""The ledger service on a real PostgreSQL."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.database import Database
from chassis.migrations import add_partitions
from chassis.pipeline import Pipeline
from chassis.tasks import running
from tests.support import ledger


@pytest.fixture
async def ledger_url(shop_database: str) -> str:
    connection = await asyncpg.connect(shop_database)
    await connection.execute(f"CREATE SCHEMA {ledger.SERVICE}")
    await connection.close()
    engine = create_async_engine(shop_database.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as begun:
        await begun.run_sync(ledger.metadata.create_all)
        await begun.run_sync(lambda sync: add_partitions(sync.exec_driver_sql, ledger.SERVICE))
    await engine.dispose()
    return shop_database


@pytest.fixture
async def database(ledger_url: str) -> AsyncIterator[Database]:
    database = Database(ledger_url)
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
def rows(database: Database):
    """The rows of a statement, as tuples."""

    async def read(statement: str) -> list[tuple[object, ...]]:
        async with database.transaction() as tx:
            return [tuple(row) for row in await tx.sql(statement.replace("$S", ledger.SERVICE))]

    return read
