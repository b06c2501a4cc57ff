"""Who waits for a thing to change is woken by its notification, and looks each second anyway."""

import asyncio

import pytest

from chassis import watch as chassis_watch
from chassis.tasks import running
from chassis.watch import Watch
from tests.support.eventually import eventually

CHANNEL = "ledger_service_changed"
LISTENERS = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND usename = 'ledger_service'"


@pytest.fixture
async def watch(database, rows, monkeypatch):
    monkeypatch.setattr(chassis_watch, "POLL", 30.0)
    watch = Watch(database, CHANNEL)
    async with running(watch.run()):
        await eventually(lambda: _listens(rows))
        yield watch


async def _listens(rows):
    return bool(await rows(f"SELECT 1 {LISTENERS}"))


async def waiting(watch, *keys):
    tasks = [asyncio.ensure_future(watch.change(key, 30)) for key in keys]
    await asyncio.sleep(0)
    return tasks


async def test_a_notification_wakes_those_who_wait_for_its_ids_and_nobody_else(watch, rows):
    a, also_a, b, c = await waiting(watch, "a", "a", "b", "c")

    await rows("SELECT pg_notify($1, 'a b unknown')", CHANNEL)

    await asyncio.wait_for(asyncio.gather(a, also_a, b), 2)
    assert not c.done()
    assert list(watch._waiting) == ["c"]
    c.cancel()


async def test_a_notification_that_was_cut_wakes_everybody(watch, rows):
    tasks = await waiting(watch, "a", "b")

    await rows("SELECT pg_notify($1, '')", CHANNEL)

    await asyncio.wait_for(asyncio.gather(*tasks), 2)
    assert watch._waiting == {}


async def test_a_wait_ends_after_its_time(watch):
    await asyncio.wait_for(watch.change("a", 0.01), 1)

    assert watch._waiting == {}


async def test_a_wait_ends_after_a_second_since_a_notification_may_be_lost(watch, monkeypatch):
    monkeypatch.setattr(chassis_watch, "POLL", 0.01)

    await asyncio.wait_for(watch.change("a", 30), 1)


async def test_when_the_connection_is_lost_the_watch_ends_to_be_started_again(database, rows):
    watch = asyncio.ensure_future(Watch(database, CHANNEL).run())
    await eventually(lambda: _listens(rows))

    await rows(f"SELECT pg_terminate_backend(pid) {LISTENERS}")

    await asyncio.wait_for(watch, 2)
