"""The process that the others are forked from."""

import asyncio
import json
import os
import signal
import socket
import sys
from dataclasses import replace

import psutil
import pytest

from ordermill import nursery, plan
from ordermill.probes import answers_ok
from ordermill.process import ORDERMILL, Spec
from ordermill.services import SERVICES
from ordermill.state import State
from ordermill.supervisor import Supervisor
from tests.support.eventually import eventually


@pytest.fixture
def notes():
    return []


@pytest.fixture
async def supervisor(notes):
    supervisor = Supervisor(notes.append)
    yield supervisor
    await supervisor.stop()


@pytest.fixture
def state(tmp_path):
    return State.open(tmp_path)


def a_mailbox(state):
    """A real process of ours that needs nothing but ports."""
    smtp, http = state.port("smtp"), state.port("http")
    words = ("mailbox", "--smtp-port", str(smtp), "--http-port", str(http), "--folder", str(state.root / "mails"))
    return Spec(
        name="mailbox",
        argv=(*ORDERMILL, *words),
        log=state.log("mailbox"),
        env={**os.environ, "ORDERMILL_MAILBOX_KEY": "k"},
        ready=answers_ok(http, "/readyz"),
        nursery=plan.nursery_socket(state),
    )


async def test_a_process_is_forked_with_its_own_environment_and_comes_back_when_it_is_killed(supervisor, state, notes):
    keeper = await supervisor.start_ready(plan.nursery(state))
    running = await supervisor.start_ready(a_mailbox(state))
    process = psutil.Process(running.pid)
    assert process.ppid() == keeper.pid
    assert process.cmdline() == psutil.Process(keeper.pid).cmdline()
    first = running.pid

    os.kill(first, signal.SIGKILL)
    await eventually(lambda: running.restarts == 1 and running.status == "ready")
    await supervisor.stop()

    assert notes[0] == "mailbox ended (SIGKILL), starts again in 0.0 s"
    assert running.pid is None
    assert not psutil.pid_exists(first)


async def test_what_was_forked_ends_with_the_nursery_and_comes_back_the_long_way(supervisor, state):
    keeper = await supervisor.start_ready(plan.nursery(state))
    running = await supervisor.start_ready(a_mailbox(state))

    os.kill(keeper.pid, signal.SIGKILL)
    await eventually(lambda: running.restarts == 1 and running.status == "ready")

    assert psutil.Process(running.pid).ppid() == os.getpid()
    assert psutil.Process(running.pid).cmdline()[0] == sys.executable


def a_gateway(state):
    """A real process of ours that serves HTTP, in front of services that are not there."""
    port = state.port("gateway")
    peers = dict.fromkeys(SERVICES, "http://127.0.0.1:1")
    return Spec(
        name="gateway",
        argv=(*ORDERMILL, "run", "gateway", "--port", str(port)),
        log=state.log("gateway"),
        env={**os.environ, "ORDERMILL_PEERS": json.dumps(peers), "ORDERMILL_EDGE_KEY": "t"},
        ready=answers_ok(port, "/livez"),
        nursery=plan.nursery_socket(state),
        listens=port,
    )


async def test_a_forked_process_serves_on_the_socket_that_outlived_the_one_before(supervisor, state):
    keeper = await supervisor.start_ready(plan.nursery(state))
    running = await supervisor.start_ready(a_gateway(state))
    assert psutil.Process(running.pid).ppid() == keeper.pid

    os.kill(running.pid, signal.SIGKILL)
    reader, writer = await asyncio.open_connection("127.0.0.1", state.port("gateway"))
    writer.write(b"GET /livez HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 200")
    await eventually(lambda: running.restarts == 1 and running.status == "ready")


async def test_what_a_process_gives_up_with_is_known_also_where_it_was_forked(supervisor, state, notes):
    await supervisor.start_ready(plan.nursery(state))
    for number in (1, 2):
        await supervisor.start(replace(a_mailbox(state), name=f"m{number}", argv=(*ORDERMILL, "mailbox", "--no-such")))

    await eventually(lambda: {"m1", "m2"} <= {note.split()[0] for note in notes if "ended (exit code 2)" in note})


async def test_of_a_process_whose_nursery_says_nothing_only_that_it_ended_is_known(supervisor, state, notes):
    keeper = await supervisor.start_ready(plan.nursery(state))
    running = await supervisor.start_ready(a_mailbox(state))

    os.kill(keeper.pid, signal.SIGSTOP)
    os.kill(running.pid, signal.SIGKILL)
    await eventually(lambda: notes)
    os.kill(keeper.pid, signal.SIGCONT)

    assert notes[0] == "mailbox ended, starts again in 0.0 s"


async def test_for_somebody_who_did_not_wait_nothing_is_begun(supervisor, state):
    keeper = await supervisor.start_ready(plan.nursery(state))
    os.kill(keeper.pid, signal.SIGSTOP)

    # when: a request is given up while the nursery is frozen, and another one is made when it is not
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(plan.nursery_socket(state)))
        connection.sendall(b'{"arguments": ["run"], "env": {}, "log": "' + str(state.log("twin")).encode() + b'"}\n')
    os.kill(keeper.pid, signal.SIGCONT)
    running = await supervisor.start_ready(a_mailbox(state))

    await eventually(lambda: [child.pid for child in psutil.Process(keeper.pid).children()] == [running.pid])
    assert not state.log("twin").exists()


@pytest.mark.parametrize("request_line", [b"[]", b'{"env": {}}', b"no JSON"])
async def test_a_request_that_is_none_is_answered_with_no_process(supervisor, state, request_line):
    keeper = await supervisor.start_ready(plan.nursery(state))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(plan.nursery_socket(state)))
        connection.sendall(request_line + b"\n")
        answered = await asyncio.to_thread(connection.recv, 100)

    assert not answered.strip().isdigit() or request_line.startswith(b"{")
    assert psutil.pid_exists(keeper.pid)


async def test_where_there_is_no_room_for_a_process_the_nursery_stays(monkeypatch):
    def full():
        raise BlockingIOError

    asks, answers = socket.socketpair()
    monkeypatch.setattr(os, "fork", full)
    asked = {}
    assert not nursery._is_the_child(answers, asked)
    assert asked == {}
    assert asks.recv(1) == b""
    asks.close()


async def test_without_a_nursery_nothing_is_forked(tmp_path):
    assert await nursery.fork(tmp_path / "nobody", nursery.Request(["ps"], {}, tmp_path / "log")) is None
    assert not await nursery.is_open(tmp_path / "nobody")


async def test_a_process_that_has_ended_before_we_look_has_ended():
    gone = await _a_pid_that_is_gone()

    forked = nursery.Forked(gone)

    assert await forked.wait() is None
    assert forked.returncode is not None


async def _a_pid_that_is_gone():
    import asyncio  # noqa: PLC0415

    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()
    return process.pid
