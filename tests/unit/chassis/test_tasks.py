"""Background tasks: they go on when they fail, end with their owner, and nobody misses a signal."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from loguru import logger

from chassis import tasks
from chassis.tasks import Signal, forever, running, side_by_side
from tests.support.eventually import eventually


async def test_work_that_fails_or_ends_is_started_again():
    runs = []

    async def work():
        runs.append(1)
        if len(runs) % 2:
            raise OSError

    async with running(forever("work", work, longest_pause=0.001)):
        await eventually(lambda: len(runs) >= 4)


@pytest.fixture
def levels():
    """The levels of what is logged."""
    told: list[str] = []
    sink = logger.add(lambda message: told.append(message.record["level"].name), level="DEBUG")
    yield told
    logger.remove(sink)


async def test_a_server_that_is_not_there_yet_is_no_news_and_one_that_was_there_is(levels, monkeypatch):
    runs, loop, passed = [], asyncio.get_running_loop(), [0.0]
    clock = loop.time
    monkeypatch.setattr(loop, "time", lambda: clock() + passed[0])

    async def work():
        runs.append(1)
        passed[0] += 10 * (len(runs) == 3)
        raise ConnectionRefusedError

    async with running(forever("work", work, longest_pause=5.0)):
        await eventually(lambda: len(levels) >= 4)

    assert levels[:4] == ["DEBUG", "DEBUG", "DEBUG", "WARNING"]


@pytest.mark.parametrize("failure", [ConnectionRefusedError, ValueError])
async def test_what_goes_on_for_long_is_warned_of_and_any_other_failure_at_once(levels, monkeypatch, failure):
    monkeypatch.setattr(tasks, "STARTING", 0.0 if failure is ConnectionRefusedError else 30.0)

    async def work():
        raise failure

    async with running(forever("work", work, longest_pause=0.01)):
        await eventually(lambda: len(levels) >= 2)

    assert set(levels) == {"WARNING"}


async def test_the_pause_doubles_until_the_work_lasts_longer_than_the_longest_pause():
    started = []

    async def work():
        started.append(asyncio.get_running_loop().time())
        if len(started) == 3:
            await asyncio.sleep(0.21)
        raise ValueError

    async with running(forever("work", work, longest_pause=0.2)):
        await eventually(lambda: len(started) == 4)

    first, second, third, fourth = started
    assert 0.05 <= second - first <= 0.15
    assert 0.1 <= third - second <= 0.25
    assert fourth - third - 0.21 <= 0.15


async def test_a_work_that_ends_after_it_was_told_to_is_not_started_again():
    ended, runs = asyncio.Event(), []

    async def work():
        runs.append(1)
        ended.set()

    await asyncio.wait_for(forever("work", work, until=ended), 1)

    assert runs == [1]


async def test_contexts_are_entered_and_left_side_by_side():
    entered, left, all_in = [], [], asyncio.Event()

    @asynccontextmanager
    async def a_context(name):
        entered.append(name)
        if len(entered) == 2:
            all_in.set()
        await all_in.wait()
        yield
        left.append(name)
        await eventually(lambda: len(left) == 2)

    async with side_by_side(a_context("a"), a_context("b")):
        assert (sorted(entered), left) == (["a", "b"], [])

    assert sorted(left) == ["a", "b"]


async def test_works_run_beside_the_body_and_end_with_it():
    ended = []

    async def work(name):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async with running(work("a"), work("b")):
        await asyncio.sleep(0)
        assert ended == []

    assert ended == ["a", "b"]


async def test_works_end_when_the_body_fails():
    ended = asyncio.Event()

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def body():
        async with running(work()):
            await asyncio.sleep(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await body()

    assert ended.is_set()


async def test_a_work_that_overhears_its_cancellation_is_cancelled_again(monkeypatch):
    monkeypatch.setattr(tasks, "PATIENCE", 0.01)
    overheard = []

    async def work():
        while not overheard:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                overheard.append(1)
        await asyncio.Event().wait()

    async with asyncio.timeout(1), running(work()):
        await asyncio.sleep(0)

    assert overheard == [1]


async def test_a_work_that_has_failed_is_told_at_the_end():
    async def work():
        raise ZeroDivisionError

    async def body():
        async with running(work()):
            await asyncio.sleep(0)

    with pytest.raises(ZeroDivisionError):
        await body()


async def test_a_cancellation_that_comes_with_the_signal_is_not_overheard():
    signal = Signal()
    waiting = asyncio.create_task(signal.after(0, 60))
    await asyncio.sleep(0)

    signal.fire()
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_whoever_waits_for_a_signal_is_woken_by_the_next_one():
    signal = Signal()
    waiting = asyncio.create_task(signal.after(0, 60))
    await asyncio.sleep(0)

    signal.fire()

    await asyncio.wait_for(waiting, 1)
    assert signal.count == 1


async def test_a_signal_that_came_before_the_wait_is_not_missed():
    signal = Signal()
    seen = signal.count
    signal.fire()

    await asyncio.wait_for(signal.after(seen, 60), 1)


async def test_a_wait_for_a_signal_ends_by_itself():
    signal = Signal()

    await signal.after(0, 0.001)

    assert signal.count == 0
