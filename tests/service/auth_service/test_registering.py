"""Opening accounts over HTTP: from one place it gets slower and slower, and nobody is locked out."""

import asyncio

import httpx2
import pytest

from auth_service.domain import attempt
from auth_service.passwords import TooManySignIn
from auth_service.settings import Settings
from chassis.line import Line
from tests.support.auth_service import PASSWORD


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch):
    """However long the registrations of a test take, it is no minute, and three are many."""
    monkeypatch.setattr(attempt, "SHORTEST", attempt.LONGEST)
    monkeypatch.setattr(Settings, "registrations_at_once", 3)


async def register(shop, email, place="198.51.100.1", route="register"):
    edge = httpx2.ASGITransport(app=shop.edge, client=(place, 1))
    async with httpx2.AsyncClient(transport=edge, base_url="http://shop") as http:
        return await http.post(f"/api/v1/auth/{route}", json={"email": email, "password": PASSWORD})


async def many(shop, count=5):
    return await asyncio.gather(*(register(shop, f"{number}@shop.test") for number in range(count)))


async def test_of_five_registrations_at_once_three_open_an_account(shop):
    answers = await many(shop)

    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [429] * 2
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert (refused.json()["code"], refused.headers["Retry-After"]) == ("rate_limited", "60")
    assert await shop.sql("SELECT count(*) FROM auth_service.users") == [(3,)]


async def test_whoever_asks_which_addresses_are_taken_is_slowed_down_as_well(shop):
    await shop.register()

    answers = [await register(shop, "ann@shop.test") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [409] * 3 + [429]


async def test_others_register_meanwhile_and_those_of_the_place_sign_in(shop):
    answers = await many(shop)
    one = next(answer.json()["email"] for answer in answers if answer.status_code == 201)

    assert (await register(shop, "bob@shop.test", "198.51.100.2")).status_code == 201
    assert (await register(shop, one, route="login")).status_code == 200


async def test_another_process_knows_of_the_registrations(shop, another_shop):
    await many(shop, 3)

    assert (await register(another_shop, "bob@shop.test")).status_code == 429


async def test_what_cannot_be_read_and_who_finds_the_line_full_have_not_tried(shop, monkeypatch):
    monkeypatch.setattr(shop.parts.own.passwords, "_line", Line(0, 0, TooManySignIn))

    answers = [await register(shop, email) for email in ("no address", *["bob@shop.test"] * 4)]

    assert [answer.status_code for answer in answers] == [422] + [503] * 4
    assert await shop.sql("SELECT failures FROM auth_service.tries") == [(0,)]


@pytest.mark.parametrize(
    ("given", "free"),
    [({}, 100), ({"profile": "local"}, 10_000), ({"profile": "local", "free_registrations": 7}, 7)],
)
def test_how_many_are_free_is_said_or_follows_from_the_profile(monkeypatch, given, free):
    monkeypatch.undo()

    settings = Settings(database_url="postgres://x", broker_url="amqp://x", edge_key="x", **given)

    assert settings.registrations_at_once == free
