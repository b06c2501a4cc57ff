"""Which connection a request gets, and which connections are closed."""

import httpx2
import pytest

from gateway import connections
from gateway.connections import KEPT_FOR, Connections, Full
from gateway.proxy import Proxy
from tests.support.gateway import a_client


class Broken(Exception):
    """Something within a request."""


class Transport(httpx2.AsyncBaseTransport):
    closed = False

    async def aclose(self):
        self.closed = True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def kept(clock):
    kept = Connections(httpx2.URL("http://order"), clock)
    kept._another = Transport
    return kept


async def used(kept):
    async with kept.one() as transport:
        return transport


async def test_a_connection_is_used_again(kept):
    assert await used(kept) is await used(kept)


async def test_two_requests_at_once_have_two_connections(kept):
    async with kept.one() as one, kept.one() as other:
        assert one is not other


async def test_the_one_that_was_used_last_is_used_first(kept):
    async with kept.one() as one:
        other = await used(kept)
    assert [await used(kept), other.closed] == [one, False]


async def test_a_connection_on_which_something_failed_is_closed(kept):
    with pytest.raises(Broken):
        async with kept.one() as transport:
            raise Broken
    assert transport.closed
    assert await used(kept) is not transport


async def test_what_nobody_used_for_long_is_closed(kept, clock):
    async with kept.one() as busy:
        old = await used(kept)
        clock.now = KEPT_FOR + 1
    assert [old.closed, busy.closed] == [True, False]


async def test_all_are_closed_at_the_end(kept):
    transport = await used(kept)
    await kept.aclose()
    assert transport.closed


async def test_there_is_an_end_of_connections(kept, monkeypatch):
    monkeypatch.setattr(connections, "AT_MOST", 1)
    async with kept.one():
        with pytest.raises(Full):
            async with kept.one():
                pass
    assert not (await used(kept)).closed


async def test_a_request_too_many_is_told_to_come_back(monkeypatch):
    monkeypatch.setattr(connections, "AT_MOST", 0)
    async with a_client(Proxy("https://order")) as client:
        answer = await client.get("/api/v1/orders")
    assert [answer.status_code, answer.json()["code"], answer.headers["retry-after"]] == [503, "unavailable", "1"]
