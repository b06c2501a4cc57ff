"""The process that the others are forked from."""

import os
import signal
import sys

import psutil
import pytest

from ordermill import nursery, plan
from ordermill.probes import answers_ok
from ordermill.process import ORDERMILL, Spec
from ordermill.state import State
from ordermill.supervisor import Supervisor
from tests.support.eventually import eventually


@pytest.fixture
async def supervisor():
    supervisor = Supervisor(print)
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
        env={**os.environ, "TOLD": "yes"},
        ready=answers_ok(http, "/readyz"),
        nursery=plan.nursery_socket(state),
    )


async def test_a_process_is_forked_with_its_own_environment_and_comes_back_when_it_is_killed(supervisor, state):
    keeper = await supervisor.start_ready(plan.nursery(state))
    running = await supervisor.start_ready(a_mailbox(state))
    process = psutil.Process(running.pid)
    assert process.ppid() == keeper.pid
    assert process.cmdline() == psutil.Process(keeper.pid).cmdline()
    first = running.pid

    os.kill(first, signal.SIGKILL)
    await eventually(lambda: running.restarts == 1 and running.status == "ready")
    await supervisor.stop()

    assert running.pid is None
    assert not psutil.pid_exists(first)


async def test_what_was_forked_ends_with_the_nursery_and_comes_back_the_long_way(supervisor, state):
    keeper = await supervisor.start_ready(plan.nursery(state))
    running = await supervisor.start_ready(a_mailbox(state))

    os.kill(keeper.pid, signal.SIGKILL)
    await eventually(lambda: running.restarts == 1 and running.status == "ready", within=10)

    assert psutil.Process(running.pid).ppid() == os.getpid()
    assert psutil.Process(running.pid).cmdline()[0] == sys.executable


async def test_without_a_nursery_nothing_is_forked(tmp_path):
    assert await nursery.fork(tmp_path / "nobody", ["ps"], {}, tmp_path / "log") is None
    assert not await nursery.is_open(tmp_path / "nobody")


async def test_a_process_that_has_ended_before_we_look_has_ended():
    gone = await _a_pid_that_is_gone()

    assert await nursery.Forked(gone).wait() == 0


async def _a_pid_that_is_gone():
    import asyncio  # noqa: PLC0415

    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()
    return process.pid
