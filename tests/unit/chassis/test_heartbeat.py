"""A loop that does not come round is stuck; one that has nothing to do is not, and one that has ended is forgotten."""

import asyncio
import json

import pytest

from chassis import health, heartbeat
from chassis.heartbeat import beat, beating, rest, stuck


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(heartbeat, "ALLOWED", 0.05)


async def test_a_loop_that_does_not_come_round_is_stuck_until_it_does():
    with beating("relay"):
        assert stuck() == {}
        await asyncio.sleep(0.1)
        assert stuck() == {"relay": "stuck for 0 s"}
        beat()
        assert stuck() == {}


async def test_a_loop_that_has_nothing_to_do_is_not_stuck():
    with beating("relay"):
        rest()
        await asyncio.sleep(0.1)

        assert stuck() == {}


async def test_a_loop_whose_turns_may_take_long_is_given_that_time():
    with beating("audit", longest=0.1), beating("relay"):
        await asyncio.sleep(0.1)
        assert set(stuck()) == {"relay"}

        await asyncio.sleep(0.1)
        assert set(stuck()) == {"relay", "audit"}


async def test_a_loop_that_has_ended_is_forgotten():
    with beating("relay"):
        pass
    await asyncio.sleep(0.1)

    beat()
    rest()
    assert stuck() == {}


async def test_each_loop_has_a_heart_of_its_own():
    async def loop(name, keeps_on):
        with beating(name):
            while True:
                await asyncio.sleep(0.01)
                if keeps_on:
                    beat()

    loops = [asyncio.create_task(loop("relay", False)), asyncio.create_task(loop("consumer", True))]
    await asyncio.sleep(0.1)

    assert set(stuck()) == {"relay"}
    for task in loops:
        task.cancel()
    await asyncio.gather(*loops, return_exceptions=True)


async def test_a_process_with_a_stuck_loop_is_neither_alive_nor_ready():
    with beating("order_service relay"):
        assert health.alive().status_code == 200
        await asyncio.sleep(0.1)
        alive, ready = health.alive(), await health.ready({"database": None})

    assert (alive.status_code, json.loads(alive.body)["status"]) == (503, "stuck")
    assert (ready.status_code, list(json.loads(ready.body)["reasons"])) == (503, ["order_service relay"])
