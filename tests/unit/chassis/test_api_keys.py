"""At the door an API key becomes a short access token, asked for once."""

import asyncio
import gc
import json
from weakref import ref

import httpx2
import pytest

from chassis.api_keys import ApiKeys
from chassis.permits import Permits, asking
from chassis.problems import Problem

KEY, OTHER = "sk_" + "a" * 43, "sk_" + "b" * 43


class Auth:
    """auth_service as far as it exchanges keys."""

    def __init__(self):
        self.asked = []
        self.status, self.told = 200, {"access_token": "access", "expires_in": 45}

    async def __call__(self, request):
        self.asked.append(request.read().decode())
        await asyncio.sleep(0)
        return httpx2.Response(self.status, json=self.told)


class Sent(list):
    """Headers that can be seen to be gone."""


class Clock:
    def __init__(self):
        self.at = 100.0

    def __call__(self):
        return self.at


@pytest.fixture
def auth():
    return Auth()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def keys(auth, clock):
    return ApiKeys(httpx2.AsyncClient(transport=httpx2.MockTransport(auth), base_url="http://auth"), clock)


def headers(value):
    return [(b"accept", b"*/*"), (b"authorization", value), (b"prefer", b"wait=1")]


async def test_an_access_token_takes_the_place_of_the_key(keys, auth):
    assert await keys.exchanged(headers(f"Bearer {KEY}".encode())) == headers(b"Bearer access")
    assert auth.asked == [f'{{"api_key":"{KEY}"}}']


@pytest.mark.parametrize("value", [b"Bearer eyJ.x.y", b"Basic c2tfOg==", b"", b"Bearer sk_short", KEY.encode()])
async def test_whatever_is_no_key_is_left_as_it_is(keys, auth, value):
    assert await keys.exchanged(headers(value)) == headers(value)
    assert auth.asked == []


async def test_a_hundred_requests_with_one_key_ask_once(keys, auth):
    await asyncio.gather(*(keys.exchanged(headers(f"bearer {KEY}".encode())) for _ in range(100)))

    assert len(auth.asked) == 1
    assert keys._asking == {}


async def test_a_token_is_asked_for_again_before_it_expires(keys, auth, clock):
    for at in (100.0, 139.9, 140.1):
        clock.at = at
        await keys.exchanged(headers(f"Bearer {KEY}".encode()))

    assert len(auth.asked) == 2


@pytest.mark.parametrize(("status", "code"), [(401, "token_invalid"), (403, "account_disabled")])
async def test_what_is_said_against_a_key_holds_for_five_seconds(keys, auth, clock, status, code):
    auth.status, auth.told = status, {"code": code, "detail": "No."}

    for at in (100.0, 104.9, 105.1):
        clock.at = at
        with pytest.raises(Problem) as refused:
            await keys.exchanged(headers(f"Bearer {KEY}".encode()))
        assert (refused.value.code, refused.value.detail) == (code, "No.")

    assert len(auth.asked) == 2


async def test_nothing_is_kept_of_a_request_whose_key_was_refused(keys, auth):
    auth.status, auth.told = 401, {"code": "token_invalid", "detail": "No."}
    requests = []

    for _ in range(3):
        sent = Sent(headers(f"Bearer {KEY}".encode()))
        requests.append(ref(sent))
        with pytest.raises(Problem):
            await keys.exchanged(sent)
    del sent
    gc.collect()

    assert [request() for request in requests] == [None, None, None]


@pytest.mark.parametrize(
    ("status", "told", "code"),
    [
        (503, {"code": "unavailable"}, "unavailable"),
        (502, {}, "unavailable"),
        (418, {"code": "tea"}, "unavailable"),
        (200, {"access_token": "a" * 4097, "expires_in": 45}, "unavailable"),
        (401, {"code": "token_invalid", "detail": "d" * 1001}, "unavailable"),
        (200, [], "unavailable"),
    ],
)
async def test_where_nobody_can_say_the_next_request_asks_again(keys, auth, status, told, code):
    auth.status, auth.told = status, told

    for _ in range(2):
        with pytest.raises(Problem) as refused:
            await keys.exchanged(headers(f"Bearer {KEY}".encode()))
        assert refused.value.code == code

    assert len(auth.asked) == 2


async def test_the_key_unused_for_longest_is_forgotten_first(keys, auth, monkeypatch):
    monkeypatch.setattr("chassis.api_keys._SIZE", 1)
    for key in (KEY, OTHER, KEY):
        await keys.exchanged(headers(f"Bearer {key}".encode()))

    assert len(auth.asked) == 3


async def test_keys_that_somebody_invents_push_out_no_good_one(keys, auth, monkeypatch):
    monkeypatch.setattr("chassis.api_keys._SIZE", 1)
    await keys.exchanged(headers(f"Bearer {KEY}".encode()))
    auth.status, auth.told = 401, {"code": "token_invalid"}
    with pytest.raises(Problem):
        await keys.exchanged(headers(f"Bearer {OTHER}".encode()))

    await keys.exchanged(headers(f"Bearer {KEY}".encode()))

    assert len(auth.asked) == 2


async def test_places_take_turns_in_having_keys_asked_for(keys, auth):
    async def ask(place, number):
        asking.set(Permits().take(place))
        await keys.exchanged(headers(b"Bearer sk_%043d" % number))

    tasks = [asyncio.create_task(ask("many", number)) for number in range(20)]
    await asyncio.gather(asyncio.create_task(ask("one", 20)), *tasks)

    in_turn = [json.loads(asked)["api_key"][-2:] for asked in auth.asked]
    assert in_turn.index("20") == 9  # behind those that were asked for before, and the first in line of the others
