"""Who gets into which database of a server."""

from urllib.parse import urlsplit

import asyncpg
import pytest

from ordermill.roles import create_roles
from tests.support.database import within

OPEN = "SELECT has_database_privilege('pg_monitor', datname, 'CONNECT') FROM pg_database WHERE datname = ANY($1)"


@pytest.fixture
async def owner(postgres):
    """The first superuser of a server, whose other databases are open to everybody, as they are at first."""
    connection = await asyncpg.connect(postgres)
    await connection.execute("GRANT CONNECT ON DATABASE postgres, template1 TO PUBLIC")
    yield connection
    await connection.execute("DROP DATABASE IF EXISTS elsewhere WITH (FORCE)")
    for role in ("served", "stranger"):
        await connection.execute(f"DROP ROLE IF EXISTS {role}")
    await connection.close()


async def doors(owner):
    return [row[0] for row in await owner.fetch(OPEN, ["postgres", "template1"])]


async def test_nobody_else_gets_into_the_other_databases_of_a_server_that_was_made_for_the_shop(owner, postgres):
    await owner.execute("CREATE DATABASE elsewhere")

    for _ in range(2):
        await create_roles(within(postgres, "elsewhere"), {"served": "test"})

    assert await doors(owner) == [False, False]


async def test_on_somebody_elses_server_they_stay_as_they_are(owner, postgres):
    await owner.execute("CREATE ROLE stranger LOGIN CREATEROLE PASSWORD 'test'")
    await owner.execute("CREATE DATABASE elsewhere OWNER stranger")
    parts = urlsplit(within(postgres, "elsewhere"))
    url = parts._replace(netloc=f"stranger:test@{parts.netloc.rpartition('@')[2]}").geturl()

    await create_roles(url, {"served": "test"})

    assert await doors(owner) == [True, True]
