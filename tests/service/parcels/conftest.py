"""Each service that listens, as far as its queue goes: its consumer and its pipeline on a real PostgreSQL."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from chassis.app import work_of
from chassis.batch import Work
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.pipeline import Pipeline
from chassis.tasks import running
from ordermill.setup import listeners, load
from tests.support.database import a_copy, as_role

LISTENERS = {service: topics for service, topics in listeners().items() if topics}


@dataclass(frozen=True)
class Listener:
    """A service that hears what it is told, without a broker."""

    name: str
    consumer: Consumer
    work: Work
    database: Database

    async def unheard(self, parcels) -> set:
        async with self.database.transaction() as tx:
            return await self.work.inbox.unheard(tx, parcels)

    async def rows(self, sql: str) -> list[tuple]:
        async with self.database.transaction() as tx:
            return [tuple(row) for row in await tx.sql(sql.replace("$S", self.name))]


@pytest.fixture(scope="session")
async def heard_database(postgres, template) -> AsyncIterator[str]:
    async with a_copy(postgres, template) as url:
        yield url


@pytest.fixture(params=LISTENERS)
async def listener(request, heard_database) -> AsyncIterator[Listener]:
    service, name = load(request.param), request.param
    database = Database(as_role(heard_database, name))
    work = work_of(service)
    pipeline = Pipeline(name, database, work)
    await database.open()
    async with running(pipeline.run()):
        yield Listener(name, Consumer(name, "amqp://nowhere", database, pipeline, work), work, database)
        await pipeline.close()
    await database.close()
