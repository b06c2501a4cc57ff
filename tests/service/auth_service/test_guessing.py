"""Guessing passwords over HTTP: it gets slower and slower, also many at once, and keeps no owner out."""

import asyncio

import httpx2
import pytest

from auth_service import forgetting
from auth_service.domain import attempt
from auth_service.passwords import TooManySignIn
from chassis.line import Line
from tests.support.auth_service import PASSWORD


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch):
    """However long the guesses of a test take, it is no minute."""
    monkeypatch.setattr(attempt, "SHORTEST", attempt.LONGEST)


async def guess(shop, email="ann@shop.test", password="wrong horse", place="198.51.100.1"):
    """A try from some address."""
    edge = httpx2.ASGITransport(app=shop.edge, client=(place, 1))
    async with httpx2.AsyncClient(transport=edge, base_url="http://shop") as http:
        return await http.post("/api/v1/auth/login", json={"email": email, "password": password})


async def test_of_thirty_guesses_at_once_ten_are_looked_at(shop):
    await shop.register()

    answers = await asyncio.gather(*(guess(shop) for _ in range(30)))

    assert sorted(answer.status_code for answer in answers) == [401] * 10 + [429] * 20
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert (refused.json()["code"], refused.headers["Retry-After"]) == ("rate_limited", "60")
    assert refused.json()["retryable"] is True


async def test_whether_an_account_exists_does_not_show_in_how_guesses_are_slowed_down(shop):
    await shop.register()

    known = await asyncio.gather(*(guess(shop) for _ in range(12)))
    unknown = await asyncio.gather(*(guess(shop, "nobody@shop.test") for _ in range(12)))

    told = [sorted((answer.status_code, answer.json()["code"]) for answer in answers) for answers in (known, unknown)]
    assert told[0] == told[1] == [(401, "credentials_wrong")] * 10 + [(429, "rate_limited")] * 2


async def test_the_right_password_among_too_many_guesses_is_not_looked_at_either(shop):
    await shop.register()
    await asyncio.gather(*(guess(shop) for _ in range(10)))

    assert (await guess(shop, password=PASSWORD)).status_code == 429


async def test_the_owner_signs_in_from_home_while_others_guess(shop):
    await shop.customer()
    await asyncio.gather(*(guess(shop, place=f"198.51.100.{n}") for n in range(20)))

    assert (await shop.login()).status_code == 200


async def test_another_process_knows_of_the_guesses(shop, another_shop):
    await shop.register()
    await asyncio.gather(*(guess(shop) for _ in range(10)))

    assert (await guess(another_shop)).status_code == 429


async def test_the_other_form_of_signing_in_is_slowed_down_as_well(shop):
    await shop.register()
    form = {"username": "ann@shop.test", "password": "wrong horse"}

    answers = [await shop.http.post("/api/v1/auth/token", data=form) for _ in range(11)]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429]


async def test_whoever_holds_a_token_cannot_guess_the_password_by_changing_it(shop):
    ann = await shop.customer()
    body = {"current_password": "wrong horse", "new_password": "another horse"}

    answers = [await shop.http.post("/api/v1/auth/password", json=body, headers=ann.headers) for _ in range(11)]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429]


async def test_whoever_finds_the_line_full_has_not_guessed(shop, monkeypatch):
    await shop.register()
    monkeypatch.setattr(shop.parts.own.passwords, "_line", Line(2, 0, TooManySignIn))

    answers = await asyncio.gather(*(guess(shop) for _ in range(10)))

    counted = [answer.status_code for answer in answers].count(401)
    assert counted < 10
    assert await shop.sql("SELECT max(failures) FROM auth_service.tries") == [(counted,)]


async def test_counts_are_forgotten_after_a_day_and_homes_after_ninety(shop):
    await shop.customer()
    await guess(shop)
    await shop.sql("UPDATE auth_service.tries SET last_at = now() - interval '25 hours'")

    await forgetting.step(shop.parts)
    [(home,)] = await shop.sql("SELECT count(*) FROM auth_service.tries")
    await shop.sql("UPDATE auth_service.tries SET last_at = now() - interval '91 days'")
    await forgetting.step(shop.parts)

    assert home == 1
    assert await shop.sql("SELECT count(*) FROM auth_service.tries") == [(0,)]


async def test_neither_address_is_kept_as_it_is(shop):
    await guess(shop, place="198.51.100.77")

    kept = str(await shop.sql("SELECT account::text, place::text FROM auth_service.tries"))

    assert "198.51" not in kept
    assert "ann" not in kept
