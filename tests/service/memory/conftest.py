"""A database of each service, twice: PostgreSQL, and the simulation's memory, which has to be like it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest

from chassis.database import Database
from tests.simulation.shop import SERVICES
from tests.support.memory import database as memory
from tests.support.memory.service_statements import answers


@pytest.fixture(params=["postgresql", "memory"])
def url(request) -> str | None:
    return request.getfixturevalue("shop_database") if request.param == "postgresql" else None


@pytest.fixture
async def at(url: str | None) -> AsyncIterator[SimpleNamespace]:
    """A database of each service: ``at.order_service``."""
    async with AsyncExitStack() as stack:
        if url is None:
            made = {n: memory.Database(memory.Schema(s.metadata, answers(n))) for n, s in SERVICES.items()}
        else:
            made = {name: Database(url) for name in SERVICES}
        for database in made.values():
            await database.open()
            stack.push_async_callback(database.close)
        yield SimpleNamespace(**made)
