"""So many requests are begun in a turn of the event loop, of each place one after the other."""

import asyncio

from chassis import turns as chassis_turns
from chassis.turns import LONG, Turns


async def test_a_turn_begins_so_many_and_places_take_turns_in_the_next_ones():
    turns, begun = Turns(3), []
    for place in "aaaaaaabbc":
        turns.take(place, lambda place=place: begun.append(place))
    by_turn = [len(begun)]

    while len(begun) < 10:
        await asyncio.sleep(0)
        by_turn.append(len(begun))

    assert "".join(begun) == "aaa" + "abc" + "aba" + "a"
    assert by_turn == [3, 6, 9, 10]


async def test_whoever_comes_where_nobody_waits_is_begun_at_once():
    turns, begun = Turns(2), []
    for number in range(5):
        turns.take("a", lambda number=number: begun.append(number))
        await asyncio.sleep(0)

        assert begun[-1] == number


async def test_what_a_beginning_asks_for_has_its_turn_too():
    turns, begun = Turns(1), []

    def begin():
        begun.append("first")
        turns.take("a", lambda: begun.append("second"))

    turns.take("a", begin)
    assert begun == ["first"]
    await asyncio.sleep(0)

    assert begun == ["first", "second"]


async def test_of_what_takes_long_to_begin_fewer_are_begun_in_a_turn_and_more_again_afterwards(monkeypatch):
    now, each, begun, kept = [1.0], [LONG], [], []
    monkeypatch.setattr(chassis_turns.time, "perf_counter", lambda: now[0])
    turns = Turns(4)

    async def begin():
        begun.append(None)
        now[0] += each[0]

    for _ in range(30):
        turns.take("a", lambda: kept.append(asyncio.create_task(begin())))
    by_turn = []
    while len(begun) < 30:
        before = len(begun)
        await asyncio.sleep(0)
        by_turn.append(len(begun) - before)
        if len(begun) > 12:
            each[0] = 0.0

    assert by_turn[:6] == [4, 4, 2, 1, 2, 1]
    assert max(by_turn[6:]) == 4
