"""Whoever has ended is refused within a minute, whatever their token says; nobody else is."""

import asyncio
from uuid import UUID

import pytest

from chassis.ids import new_id
from chassis.revocations import Revocations, RevocationsUnavailable
from chassis.tokens import Caller, KeyPair, KeysUnavailable, Role, TokenInvalid, TokenRevoked, Verifier, issue

NOW = 1_800_000_000.0
ISSUER = "https://shop.example"
PAIR = KeyPair.new()


class List:
    """auth_service's list, which can be away."""

    def __init__(self, *ended):
        self.ended = list(ended)
        self.asked = 0
        self.away = False

    async def fetch(self):
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise OSError
        return self.ended


class Clock:
    def __init__(self):
        self.at = 100.0

    def __call__(self):
        return self.at


async def jwks():
    return {"keys": [PAIR.public_jwk]}


def a_verifier(ended, clock):
    verifier = Verifier(jwks, ended.fetch, issuer=ISSUER, now=lambda: NOW)
    verifier.revocations = Revocations(ended.fetch, verifier._drop, now=clock)
    return verifier


def a_token(session: UUID) -> str:
    return issue(PAIR, Caller(new_id(), Role.CUSTOMER, session), issuer=ISSUER, now=NOW)


async def test_a_token_of_a_session_that_has_ended_is_refused():
    session = new_id()

    with pytest.raises(TokenRevoked):
        await a_verifier(List(session), Clock()).verify(a_token(session))


async def test_a_token_that_was_checked_before_is_refused_once_its_session_has_ended():
    ended, (mine, others) = List(), (new_id(), new_id())
    verifier = a_verifier(ended, Clock())
    token, another = a_token(mine), a_token(others)
    await verifier.verify(token)
    kept = await verifier.verify(another)
    ended.ended.append(mine)

    await verifier.revocations.read()

    assert verifier.known(token) is None
    assert verifier.known(another) is kept
    with pytest.raises(TokenRevoked):
        await verifier.verify(token)


async def test_a_session_that_is_off_the_list_again_is_let_in():
    session = new_id()
    ended = List(session)
    verifier = a_verifier(ended, Clock())
    await verifier.revocations.read()
    ended.ended.clear()
    await verifier.revocations.read()

    assert (await verifier.verify(a_token(session))).session_id == session


async def test_a_hundred_tokens_at_once_ask_for_the_list_once():
    ended = List()
    verifier = a_verifier(ended, Clock())

    await asyncio.gather(*(verifier.verify(a_token(new_id())) for _ in range(100)))

    assert ended.asked == 1


async def test_a_list_is_relied_upon_for_fifty_seconds_then_nobody_is_let_in():
    ended, clock = List(), Clock()
    verifier = a_verifier(ended, clock)
    token = a_token(new_id())
    await verifier.verify(token)
    ended.away = True

    clock.at += 50
    assert await verifier.revocations.read() is False
    assert verifier.known(token) is not None
    clock.at += 1
    assert await verifier.revocations.read() is False

    assert verifier.known(token) is None
    with pytest.raises(RevocationsUnavailable):
        await verifier.verify(token)


async def test_who_cannot_read_the_list_asks_twice_a_second_at_most():
    ended, clock = List(), Clock()
    ended.away = True
    verifier = a_verifier(ended, clock)
    for _ in range(5):
        with pytest.raises(RevocationsUnavailable):
            await verifier.verify(a_token(new_id()))
    assert ended.asked == 1

    ended.away = False
    clock.at += 0.5
    assert await verifier.verify(a_token(new_id()))


async def test_the_list_and_the_keys_are_read_again_and_again(monkeypatch):
    read, keys = [], []

    async def ended():
        read.append(1)
        if len(read) == 2:
            raise OSError
        return ()

    async def fetch():
        keys.append(1)
        return await jwks()

    times = iter([NOW, NOW, NOW + 1, NOW + 61, NOW + 61, NOW + 61])
    verifier = Verifier(fetch, ended, issuer=ISSUER, now=lambda: next(times, NOW + 61))
    naps = []

    async def nap(seconds):
        naps.append(seconds)
        if len(naps) == 3:
            raise KeysUnavailable

    monkeypatch.setattr(asyncio, "sleep", nap)
    with pytest.raises(KeysUnavailable):
        await verifier.follow(verifier.revocations)

    assert (len(read), naps) == (3, [10.0, 0.5, 10.0])
    assert len(keys) >= 1


async def test_a_revoked_token_is_answered_like_any_other_that_is_not_good():
    assert issubclass(TokenRevoked, TokenInvalid)
    assert "sign in again" in TokenRevoked.__doc__
