"""Which orders are marked, and when they are seen to be confirmed."""

import asyncio
from types import SimpleNamespace
from uuid import UUID

import pytest

from chassis.ids import ALPHABET, new_id, typeid
from ordermill.bench.measuring import confirmation
from ordermill.bench.watching import Watch, marks
from tests.support.eventually import eventually


@pytest.mark.parametrize(("orders", "letters"), [(10, 32), (1_000, 32), (20_000, 2), (1_000_000, 1)])
def test_about_a_thousand_orders_are_marked(orders, letters):
    assert len(marks(orders)) == letters


def test_a_mark_is_the_same_letter_for_the_client_and_for_the_database():
    ids = [new_id() for _ in range(200)]
    watch = Watch(ALPHABET[:7])

    watch.announced(None, 1, "channel", " ".join(map(str, ids)))

    assert watch._announced == {each for each in ids if typeid("ord", each)[-1] in ALPHABET[:7]}


async def test_an_order_is_looked_up_whenever_it_is_announced_until_it_is_confirmed():
    order_id, asked, confirmed = new_id(), [], []
    database = SimpleNamespace(fetch=lambda _, ids: _found(asked, ids, confirmed))
    watch = Watch(ALPHABET)
    looking = asyncio.create_task(watch.look(database))

    async def announce(looks):
        watch.announced(None, 1, "channel", str(order_id))
        await eventually(lambda: _has(len(asked) == looks))

    await announce(1)
    assert watch.confirmed == {}
    confirmed.append(order_id)
    await announce(2)
    await eventually(lambda: _has(order_id in watch.confirmed))
    watch.announced(None, 1, "channel", str(order_id))
    await asyncio.sleep(0)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)

    assert asked == [[order_id], [order_id]]


async def _found(asked, ids, confirmed):
    asked.append(ids)
    return [(each,) for each in ids if each in confirmed]


async def _has(value):
    return value


def test_times_are_of_those_that_were_seen_and_never_negative():
    first, second, third = (UUID(int=number) for number in (1, 2, 3))
    marked = {typeid("ord", each): (10.0, "key", 0) for each in (first, second, third)}

    said = confirmation(marked, {first: 10.5, second: 9.9})

    assert said == {
        "accepted_to_confirmed_ms": {"p50": 0.0, "p95": 500.0, "p99": 500.0, "max": 500.0},
        "marked": 3,
        "seen_confirmed": 2,
    }
