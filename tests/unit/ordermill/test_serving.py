"""A process that serves: how it takes the news that it has to end, and how it sees that it comes late."""

import asyncio
import signal

import pytest
import uvicorn

from chassis.admission import Admission
from ordermill import serving
from tests.support.eventually import eventually


@pytest.fixture
def here(monkeypatch):
    admission = Admission()
    monkeypatch.setattr(serving, "HERE", admission)
    return admission


@pytest.fixture
def exits(monkeypatch):
    """The codes with which the process would have been ended."""
    codes = []
    monkeypatch.setattr(serving, "ENDS_WITHIN", 0.01)
    monkeypatch.setattr(serving, "_exit", codes.append)
    return codes


@pytest.fixture
def server(here):
    async def app(scope, receive, send):
        pass

    return serving.Server(uvicorn.Config(app, log_config=None))


async def test_a_process_in_which_only_a_good_bye_hangs_ends_with_0(server, exits):
    server.handle_exit(signal.SIGTERM, None)
    server.handle_exit(signal.SIGTERM, None)

    await eventually(lambda: exits == [0])
    assert (server.should_exit, server._captured_signals) == (True, [])


async def test_a_process_that_leaves_somebody_without_an_answer_says_so(server, exits):
    server.server_state.tasks.add(asyncio.current_task())

    server.handle_exit(signal.SIGTERM, None)

    await eventually(lambda: exits == [7])


async def test_ctrl_c_is_told_to_whoever_started_the_process(server, exits):
    server.handle_exit(signal.SIGINT, None)

    assert (server.should_exit, server._captured_signals) == (True, [signal.SIGINT])
    await eventually(lambda: exits == [0])


async def test_a_process_that_comes_late_knows_and_soon_forgets(server, here, monkeypatch):
    await server.on_tick(1)
    assert here.lag < 1

    server._ticked_at -= 10
    await server.on_tick(2)
    late = here.lag
    await server.on_tick(3)

    assert late > 9
    assert here.lag == pytest.approx(0.9 * late)
