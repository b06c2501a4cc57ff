"""A server that keeps its connections and answers nothing: transactions end as an outage, after a time of our own."""

import asyncio

import asyncpg
import pytest

from chassis.database import OUTAGE, Database
from tests.support.cable import Cable


@pytest.fixture
async def impatient():
    """Opens databases whose transactions may last half a second."""
    opened = []

    async def open_(url):
        database = Database(url, longest=0.5)
        await database.open()
        opened.append(database)
        return database

    yield open_
    for database in opened:
        await database.close()


async def test_a_transaction_on_a_frozen_server_ends_as_an_outage_and_the_next_one_works(service_url, impatient):
    async with Cable(service_url) as cable:
        database = await impatient(cable.url)

        async def ask_while_frozen():
            async with database.transaction() as tx:
                await tx.sql("SELECT 1")
                cable.freeze()
                await tx.sql("SELECT 1")

        with pytest.raises((asyncpg.InterfaceError, asyncpg.PostgresConnectionError)) as failure:
            await ask_while_frozen()
        cable.thaw()
        async with database.transaction() as tx:
            [(one,)] = await tx.sql("SELECT 1")

    assert isinstance(failure.value, OUTAGE)
    assert one == 1


async def test_a_transaction_that_ended_in_time_leaves_its_connection_whole(service_url, impatient):
    database = await impatient(service_url)

    async with database.transaction() as tx:
        [(before,)] = await tx.sql("SELECT pg_backend_pid()")
    await asyncio.sleep(0.7)
    async with database.transaction() as tx:
        [(after,)] = await tx.sql("SELECT pg_backend_pid()")

    assert before == after
