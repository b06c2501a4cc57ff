"""The roles of the database: what one of them takes leaves room for the others."""

import asyncpg
import pytest

from ordermill.services import PROVIDER, SERVICES


@pytest.fixture
async def database(shop_database):
    connection = await asyncpg.connect(shop_database)
    yield connection
    await connection.close()


async def test_no_service_takes_more_than_half_of_all_connections(database):
    room = int(await database.fetchval("SHOW max_connections"))

    rows = await database.fetch(
        "SELECT rolname, rolconnlimit FROM pg_roles WHERE rolname = ANY($1)", [*SERVICES, PROVIDER]
    )

    assert dict(rows) == dict.fromkeys([*SERVICES, PROVIDER], room // 2)
