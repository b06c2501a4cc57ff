"""The private servers, for real: they start, keep what was committed over kill -9, and end."""

import os
import signal
import stat
import subprocess
import tempfile
from pathlib import Path

import aio_pika
import asyncpg
import psutil
import pytest

from ordermill import accounts, postgres
from ordermill.erlang import ensure_installation
from ordermill.errors import Exit, Failure
from ordermill.ports import HOST, held, is_holdable
from ordermill.postgres import Postgres
from ordermill.rabbitmq import RabbitMQ, control, keep_cookie
from ordermill.sockets import socket_in
from ordermill.state import State
from ordermill.supervisor import Supervisor
from tests.support import strangers
from tests.support.eventually import eventually
from tests.unit.ordermill.test_ports import TAKES

CONNECTS = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


@pytest.fixture
def state(tmp_path):
    state = State.open(tmp_path)
    yield state
    for name in ("postgres", "sockets"):
        accounts.remove(state.root / name)


@pytest.fixture
async def supervisor():
    supervisor = Supervisor(print)
    yield supervisor
    await supervisor.stop()


@pytest.fixture
def uncollected():
    """The number of a process of PostgreSQL's user that has ended, and of which its parent has not yet heard."""
    user, _ = accounts.unprivileged() or (None, None)
    process = subprocess.Popen(["/bin/true"], user=user)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    process.wait()


def a_postgres(state):
    return Postgres(state.root / "postgres", state.log("postgres"), state.sockets, state.secret("postgres"))


def a_rabbitmq(state):
    state.port("rabbitmq", will_do=is_holdable)
    ports = [state.port(name) for name in ("rabbitmq", "rabbitmq.distribution", "epmd")]
    told = (state.secret("rabbitmq"), state.erlang_cookie)
    return RabbitMQ(state.root / "rabbitmq", state.log("rabbitmq"), *ports, *told)


async def test_postgres_keeps_what_was_committed_when_it_is_killed_and_when_it_is_started_anew(state, supervisor):
    server = a_postgres(state)
    running = await supervisor.start_ready(server.prepare())
    await _execute(server.url, "create table kept (n int); insert into kept values (1)")

    await _kill(running)
    await _execute(server.url, "insert into kept values (2)")
    await supervisor.stop()
    anew, again = a_postgres(State.open(state.root)), Supervisor(print)
    await again.start_ready(anew.prepare())
    kept = await _execute(anew.url, "select array_agg(n order by n) from kept")
    await again.stop()

    assert kept == [1, 2]


async def test_postgres_is_reached_by_no_port_and_by_a_socket_that_nobody_else_gets_to(state, supervisor):
    server = a_postgres(state)
    running = await supervisor.start_ready(server.prepare())

    ports = [each for each in psutil.Process(running.pid).net_connections("inet") if each.status == "LISTEN"]
    places = {each.laddr for each in psutil.Process(running.pid).net_connections("unix")}

    assert ports == []
    assert str(socket_in(server.sockets)) in places
    assert stat.S_IMODE(server.sockets.stat().st_mode) == 0o700
    assert strangers.tries((CONNECTS, socket_in(server.sockets))) <= {"PermissionError"}


async def test_postgres_starts_where_a_killed_one_that_nobody_has_collected_has_left_its_socket(
    state, supervisor, uncollected
):
    server = a_postgres(state)
    spec = server.prepare()
    (server.sockets / ".s.PGSQL.5432.lock").write_text(f"{uncollected}\n")

    await supervisor.start_ready(spec)

    assert await _execute(server.url, "select 1") == 1


async def test_postgres_is_reached_however_deep_the_checkout_lies_and_whatever_it_is_called(tmp_path, supervisor):
    state = State.open(tmp_path / ("d" * 100) / "a shop, with 'odd\" words")
    server = a_postgres(state)

    await supervisor.start_ready(server.prepare())

    assert await _execute(server.url, "select 1") == 1
    assert server.sockets.parent == Path(tempfile.gettempdir())
    assert State.open(state.root).sockets == server.sockets
    for name in ("postgres", "sockets"):
        accounts.remove(state.root / name)


async def test_postgres_is_durable_and_asks_for_a_password(state, supervisor):
    server = a_postgres(state)
    await supervisor.start_ready(server.prepare())

    settings = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings where name = any($1)"
    found = await _execute(server.url, settings, ["fsync", "listen_addresses", "max_connections"])

    assert found == "fsync=on listen_addresses= max_connections=200"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await _execute(server.url.replace(server.password, "wrong"), "select 1")


async def test_postgres_logs_no_row_and_no_statement(state, supervisor):
    server = a_postgres(state)
    await supervisor.start_ready(server.prepare())
    await _execute(server.url, "create table users (email text primary key, age int check (age > 0))")
    await _execute(server.url, "insert into users values ('ada@example.org', 1)")

    for age in (1, -1):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await _execute(server.url, "insert into users values ($1, $2)", "ada@example.org", age)

    log = state.log("postgres").read_text()
    assert 'duplicate key value violates unique constraint "users_pkey"' in log
    assert "users_age_check" in log
    assert "ada@example.org" not in log


async def test_rabbitmq_keeps_its_messages_when_it_is_killed(state, supervisor):
    node = a_rabbitmq(state)
    epmd, server = node.prepare(ensure_installation(print), os.environ)
    await supervisor.start_ready(epmd)
    running = await supervisor.start_ready(server)
    await _publish(node.url, b"kept")
    # The directory of quorum queues is written late: a kill within a second after the first one would lose it.
    await eventually(lambda: _directory_is_written(node.root))

    await _kill(running)

    assert await _read(node.url) == b"kept"
    assert {spec.name for spec in (epmd, server)} == set(supervisor.processes)


async def test_a_port_that_is_held_is_rabbitmqs_and_nobodys_while_it_is_away(state, supervisor):
    node = a_rabbitmq(state)
    with held([node.port]):
        epmd, server = node.prepare(ensure_installation(print), os.environ)
        await supervisor.start_ready(epmd)
        running = await supervisor.start_ready(server)

        while_it_was_there = strangers.tries((TAKES, HOST, node.port))
        await _kill(running)
        async with await aio_pika.connect(node.url) as connection:
            back = not connection.is_closed
        await supervisor.put_aside("rabbitmq")
        while_it_was_away = strangers.tries((TAKES, HOST, node.port))

    assert back
    assert while_it_was_there | while_it_was_away <= {"Refused"}


async def test_rabbitmq_takes_commands_with_the_shops_cookie_and_not_with_the_one_that_it_had(
    state, supervisor, tmp_path
):
    node = a_rabbitmq(state)
    keep_cookie(state.root, "one")  # HOME of whoever knows another one
    node.root.mkdir()
    keep_cookie(node.root, "one")
    installed = ensure_installation(print)
    epmd, server = node.prepare(installed, os.environ)
    await supervisor.start_ready(epmd)
    await supervisor.start_ready(server)

    said = await control(installed, server.env, "eval", "erlang:get_cookie().")

    assert said.strip().strip("'") == state.erlang_cookie
    with pytest.raises(RuntimeError, match="Erlang cookie hash"):
        await control(installed, {**server.env, "HOME": str(state.root)}, "eval", "ok.")


def test_without_binaries_the_package_to_install_is_named(monkeypatch):
    monkeypatch.setattr(postgres.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(postgres, "INSTALLED", ())
    monkeypatch.setattr(postgres.shutil, "which", lambda _: None)

    with pytest.raises(Failure, match="no PostgreSQL binaries") as refused:
        postgres.find_binaries()

    assert refused.value.code == Exit.MISSING


def test_an_initialisation_that_fails_says_why_and_leaves_no_half_a_cluster(state, monkeypatch):
    monkeypatch.setattr(postgres, "OWNER", "pg_reserved")

    with pytest.raises(Failure, match="initdb failed"):
        a_postgres(state).prepare()

    assert not list((state.root / "postgres").resolve().glob("data"))


async def _execute(url, statement, *values):
    connection = await asyncpg.connect(url)
    try:
        return await (connection.fetchval(statement, *values) if values else _simple(connection, statement))
    finally:
        await connection.close()


async def _simple(connection, statement):
    if statement.startswith("select"):
        return await connection.fetchval(statement)
    return await connection.execute(statement)


async def _queue(channel):
    return await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})


async def _publish(url, body):
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await _queue(channel)
        await channel.default_exchange.publish(aio_pika.Message(body, delivery_mode=2), "kept")


async def _read(url):
    async with await aio_pika.connect(url) as connection:
        queue = await _queue(await connection.channel())
        async with queue.iterator(timeout=15) as messages:
            async for message in messages:
                await message.ack()
                return message.body
    return None


def _directory_is_written(root):
    return any(b"%2F_kept" in file.read_bytes() for file in root.glob("data/*/quorum/*/names.dets"))


async def _kill(running):
    os.kill(running.pid, signal.SIGKILL)
    await eventually(lambda: running.restarts == 1 and running.status == "ready")
