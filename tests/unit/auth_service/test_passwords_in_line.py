"""However many sign in at once, few are served, a few more wait, and the rest is told to try again."""

import asyncio

from auth_service import passwords
from auth_service.passwords import Passwords, TooManySignIn


async def test_whoever_finds_the_line_full_is_refused_and_the_others_have_their_turn(monkeypatch):
    monkeypatch.setattr(passwords, "_IN_LINE", 2)
    desk = Passwords(threads=1)

    outcomes = await asyncio.gather(*(desk.match("wrong", None) for _ in range(5)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [bool, bool, bool, TooManySignIn, TooManySignIn]
    assert await desk.match("wrong", None) is False
