"""The customers of a run, before a door that gives tokens."""

import itertools
import json

import httpx2
import pytest

from chassis.ids import new_id, typeid
from ordermill.bench import generator
from ordermill.bench.generator import Generator
from ordermill.bench.people import Customers
from ordermill.errors import Failure
from tests.support.eventually import eventually


@pytest.fixture
def asked():
    return []


@pytest.fixture
async def people(asked):
    numbers = itertools.count(1)

    def answer(request):
        asked.append((request.url.path, json.loads(request.content)))
        if request.url.path.endswith("/register"):
            return httpx2.Response(201, json={"id": typeid("usr", new_id())})
        number = next(numbers)
        return httpx2.Response(200, json={"access_token": f"access-{number}", "refresh_token": f"refresh-{number}"})

    async with httpx2.AsyncClient(base_url="http://shop/api/v1", transport=httpx2.MockTransport(answer)) as http:
        made = Customers(http)
        await made.register(2)
        yield made


async def test_everybody_has_an_account_and_a_token_of_their_own(people, asked):
    registered = [body["email"] for path, body in asked if path.endswith("/register")]

    assert len(set(registered)) == 2
    assert ["access-1" in head or "access-2" in head for head in people.heads] == [True, True]
    assert len(set(people.heads)) == 2


async def test_a_token_is_renewed_with_the_newest_refresh_token(people, asked):
    del asked[:]
    await people.renew()
    await people.renew()

    assert {path for path, _ in asked} == {"/api/v1/auth/refresh"}
    assert sorted(body["refresh_token"] for _, body in asked) == ["refresh-1", "refresh-2", "refresh-3", "refresh-4"]
    assert all("access-5" in head or "access-6" in head for head in people.heads)


async def test_the_generator_is_told_of_new_tokens(people, monkeypatch):
    told = []
    monkeypatch.setattr(generator, "ORDERS_FOR", 0.001)
    monkeypatch.setattr(Generator, "tell", lambda _self, line: told.append(line))

    async with generator.a_generator(1, people, ["{}"], ""):
        await eventually(lambda: _has(len(told) > 2))

    assert set(told[0]) == {"port", "heads", "bodies", "marked", "cancel_each"}
    assert all("access-" in head for head in told[-1]["heads"])


async def test_a_generator_that_ends_before_its_time_is_said(people):
    async with generator.a_generator(1, people, ["{}"], "") as load:
        load.tell({"nothing": "it knows"})
        load._child.kill()
        with pytest.raises(Failure, match="ended before"):
            await load.phase(print, orders=1, clients=1)


async def _has(value):
    return value
