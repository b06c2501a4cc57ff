"""However many sign in at once, few are served, a few more wait, and the rest is told to try again."""

import asyncio

import pytest

from auth_service import passwords
from auth_service.line import Line, TooManySignIn
from auth_service.passwords import Passwords


async def test_whoever_finds_the_line_full_is_refused_and_the_others_have_their_turn(monkeypatch):
    monkeypatch.setattr(passwords, "_IN_LINE", 2)
    desk = Passwords(threads=1)

    outcomes = await asyncio.gather(*(desk.match("wrong", None) for _ in range(5)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [bool, bool, bool, TooManySignIn, TooManySignIn]
    assert await desk.match("wrong", None) is False


class Desk:
    """A line for one at a time, and who was served."""

    def __init__(self, length):
        self.line = Line(1, length)
        self.served = []
        self.asked = []

    async def come(self, *places):
        """One after the other; each is served in one turn of the loop, once it is theirs."""
        for place in places:
            self.asked.append((place, asyncio.ensure_future(self._serve(place))))
            await asyncio.sleep(0)

    async def _serve(self, place):
        async with self.line.turn(place.encode()):
            await self.open.wait()
            self.served.append(place)

    async def ends(self):
        """Who is refused, once everybody else was served."""
        self.open.set()
        outcomes = await asyncio.gather(*(task for _, task in self.asked), return_exceptions=True)
        assert (self.line._free, self.line._waiting) == (1, {})
        return "".join(place for (place, _), gone in zip(self.asked, outcomes, strict=True) if gone is not None)

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
