"""A line in which places take turns: who is served when, and who gives way where it is full."""

import asyncio

import pytest

from chassis.line import Line


class FullHere(Exception):
    pass


class Desk:
    """A line for one at a time, and who was served."""

    def __init__(self, length):
        self.line = Line(1, length, FullHere)
        self.served = []
        self.asked = []

    async def come(self, *places):
        """One after the other; each is served in one turn of the loop, once it is theirs."""
        for place in places:
            self.asked.append((place, asyncio.ensure_future(self._serve(place))))
            await asyncio.sleep(0)

    async def _serve(self, place):
        async with self.line.turn(place):
            await self.open.wait()
            self.served.append(place)

    async def ends(self):
        """Who is refused, once everybody else was served."""
        self.open.set()
        outcomes = await asyncio.gather(*(task for _, task in self.asked), return_exceptions=True)
        assert (self.line._free, self.line._waiting) == (1, {})
        gone = [(place, why) for (place, _), why in zip(self.asked, outcomes, strict=True) if why is not None]
        assert {type(why) for _, why in gone} <= {FullHere, asyncio.CancelledError}
        return "".join(place for place, _ in gone)

    @property
    def order(self):
        return "".join(self.served)


@pytest.fixture
def desk():
    desk = Desk(4)
    desk.open = asyncio.Event()
    return desk


async def test_places_take_turns(desk):
    await desk.come(*"aaabc")

    assert await desk.ends() == ""
    assert desk.order == "aabca"


async def test_where_the_line_is_full_whoever_came_last_from_the_place_with_most_gives_way(desk):
    await desk.come(*"aaaaabc")

    assert await desk.ends() == "aa"
    assert desk.order == "aabca"


async def test_a_newcomer_meets_no_failure_where_whoever_would_give_way_leaves_just_then(desk):
    await desk.come(*"aaaaa")
    _, last = desk.asked[-1]
    desk.asked.append(("b", asyncio.ensure_future(desk._serve("b"))))
    last.cancel()

    assert await desk.ends() == "a"
    assert sorted(desk.served) == sorted("aaaab")


async def test_whose_place_has_as_many_as_any_gives_way_themselves(desk):
    await desk.come(*"aaabbabc")

    assert await desk.ends() == "aab"
    assert desk.order == "aabcb"


async def test_whoever_leaves_the_line_leaves_their_turn_to_the_next(desk):
    await desk.come(*"abac")
    _, leaving = desk.asked[1]
    leaving.cancel()

    assert await desk.ends() == "b"
    assert desk.order == "aac"


async def test_whoever_is_called_and_has_left_meanwhile_leaves_their_turn_to_the_next(desk):
    await desk.come(*"abbc")
    for _, task in desk.asked[:2]:
        task.cancel()
    await asyncio.sleep(0)
    desk.asked[2][1].cancel()

    assert await desk.ends() == "abb"
    assert desk.order == "c"
