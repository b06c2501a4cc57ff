"""`initdb`, `upgrade` and `topology` against servers that refuse: one line says why, another what mends it."""

import shutil
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

import order_service
from chassis import migrations
from ordermill.errors import Exit
from ordermill.services import SERVICES
from tests.support.servers import broker_secret

START = "→ Start the shop with: make up"
OWNER = "→ Give its owner's address: ORDERMILL_DATABASE_URL"
ADMINISTRATOR = "→ Give its administrator's address: ORDERMILL_BROKER_URL"


@pytest.fixture
def at(told, monkeypatch):
    """Where a server is said to be."""

    def at(server, url, **changes):
        parts = urlsplit(url)
        _, _, place = parts.netloc.rpartition("@")
        netloc = f"{changes.pop('user', parts.username)}:{changes.pop('password', parts.password)}@{place}"
        monkeypatch.setenv(f"ORDERMILL_{server}_URL", parts._replace(netloc=netloc, **changes).geturl())

    return at


@pytest.fixture
async def empty(postgres, shop_database):
    """A database without any schema of ours."""
    name = f"{urlsplit(shop_database).path[1:]}_empty"
    server = await asyncpg.connect(postgres)
    await server.execute(f"CREATE DATABASE {name}")
    yield urlsplit(postgres)._replace(path=f"/{name}").geturl()
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


@pytest.fixture
def revisions(tmp_path, monkeypatch):
    """A copy of order_service's revisions, which a command may add to."""
    folder = tmp_path / "revisions"
    shutil.copytree(Path(order_service.__file__).parent / "migrations", folder)

    def configuration(service, **attributes):
        config = configured(service, **attributes)
        config.set_main_option("version_locations", str(folder))
        return config

    configured = migrations.configuration
    monkeypatch.setattr(migrations, "configuration", configuration)
    migrations.head.cache_clear()
    yield lambda: {path.stem for path in folder.glob("[0-9a-f]*.py")}
    migrations.head.cache_clear()


async def test_without_a_difference_no_revision_is_written(ordermill, revisions):
    before = revisions()

    said = await ordermill("migrate", "--message", "nothing", "--service", "order_service")

    assert (said.code, revisions()) == (0, before)
    assert said.err.splitlines()[-1] == "The tables are as the database has them: nothing to write."


async def test_a_difference_becomes_the_next_revision_in_number(ordermill, ask, revisions):
    before = revisions()
    await ask("ALTER TABLE order_service.orders DROP COLUMN note")

    said = await ordermill("migrate", "--message", "a note", "--service", "order_service")

    assert said.code == 0
    assert revisions() - before == {f"{len(before) + 1:04}_a_note"}
    assert said.err.splitlines()[-1] == "Read it before you commit it."


async def test_a_schema_of_a_later_release_is_left_as_it_is(ordermill, ask):
    await ask("UPDATE auth_service.alembic_version SET version_num = '9999'")

    said = await ordermill("upgrade", "--service", "auth_service")

    assert said.code == 0
    assert await ask("SELECT version_num FROM auth_service.alembic_version") == [("9999",)]


async def test_the_history_says_whose_revisions_they_are(ordermill, at, shop_database):
    at("DATABASE", shop_database)

    said = await ordermill("history")

    assert [line for line in said.out.splitlines() if line in SERVICES] == list(SERVICES)


@pytest.mark.parametrize("command", ["upgrade", "downgrade", "history", "migrate"])
async def test_a_service_that_is_not_there_is_refused_and_those_that_are_are_named(ordermill, command):
    refused = await ordermill(command, "--service", "nobody", *(("-m", "x") if command == "migrate" else ()))

    assert refused.code == 2
    assert "There is no service named nobody. Choose from: auth_service" in " ".join(
        refused.err.replace("│", " ").split()
    )


@pytest.mark.parametrize("command", ["initdb", "upgrade"])
async def test_a_wrong_password_of_the_database_is_told(ordermill, at, shop_database, command):
    at("DATABASE", shop_database, password="wrong")

    said = await ordermill(command)

    cause, mend = said.err.splitlines()
    assert (said.code, mend) == (Exit.FAILED, OWNER)
    assert cause.startswith("PostgreSQL refuses: password authentication failed")


async def test_a_database_that_is_not_there_is_told(ordermill, at, shop_database):
    at("DATABASE", shop_database, path="/nowhere")

    said = await ordermill("initdb")

    assert said.code == Exit.FAILED
    assert said.err.splitlines()[0] == 'PostgreSQL refuses: database "nowhere" does not exist.'


async def test_a_role_that_does_not_own_the_schemas_is_told(ordermill, at, shop_database):
    at("DATABASE", shop_database, user="order_service", password="test")

    said = [await ordermill(*words) for words in (("initdb",), ("downgrade", "--service", "order_service"))]

    assert [one.code for one in said] == [Exit.FAILED] * 2
    assert {one.err.splitlines()[-1] for one in said} == {OWNER}
    assert {one.err.splitlines()[0].split(":")[0] for one in said} == {"PostgreSQL refuses"}


async def test_without_schemas_the_upgrade_names_the_command_that_makes_them(ordermill, at, empty):
    at("DATABASE", empty)

    said = await ordermill("upgrade")

    cause, mend = said.err.splitlines()
    assert (said.code, mend) == (Exit.FAILED, "→ Make it: ordermill initdb")
    assert cause.startswith("The schema is not up to date: ")


@pytest.mark.parametrize("changes", [{"password": "wrong"}, {"path": "/nowhere"}])
async def test_a_broker_that_refuses_the_login_is_told(ordermill, at, rabbitmq, changes):
    at("BROKER", rabbitmq, **changes)

    said = await ordermill("topology")

    cause, mend = said.err.splitlines()
    assert (said.code, mend) == (Exit.FAILED, ADMINISTRATOR)
    assert cause.startswith("RabbitMQ refuses: ")


async def test_a_broker_user_that_may_not_configure_is_told(ordermill, at, rabbitmq, run_folder):
    at("BROKER", rabbitmq, user="order_service", password=broker_secret(run_folder, "order_service"))

    said = await ordermill("topology")

    assert (said.code, said.err.splitlines()[-1]) == (Exit.FAILED, ADMINISTRATOR)


@pytest.mark.parametrize(("server", "command"), [("BROKER", "topology"), ("DATABASE", "upgrade")])
async def test_a_server_that_does_not_answer_is_told(ordermill, at, shop_database, server, command):
    at(server, "amqp://a:b@127.0.0.1:1/" if server == "BROKER" else "postgresql://a:b@127.0.0.1:1/x")

    said = await ordermill(command)

    name = {"BROKER": "RabbitMQ", "DATABASE": "PostgreSQL"}[server]
    assert said.code == Exit.NOT_RUNNING
    assert said.err.splitlines() == [f"{name} does not answer.", START]
