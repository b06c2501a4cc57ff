"""Tokens of a trusted OpenID issuer are exchanged for our own, on a real PostgreSQL."""

import asyncio
import time
from dataclasses import replace

import pytest

from auth_service.domain import lately
from auth_service.domain.identity import Identity
from auth_service.domain.user import EmailClaim
from auth_service.openid import OpenIdIssuer
from auth_service.settings import Settings
from auth_service.store import STORE
from chassis.keys import KeyPair, PublishedKeys
from tests.service.auth_service.conftest import a_service
from tests.support.neighbours import EDGE_KEY

ISSUER = "https://people.example"
PAIR = KeyPair.new()


async def published():
    return {"keys": [dict(PAIR.public_jwk)]}


def trusting(shop):
    shop.parts.own.openid = OpenIdIssuer(ISSUER, "shop", PublishedKeys(published, now=time.time))


@pytest.fixture(autouse=True)
def trusted(shop):
    trusting(shop)


def an_id_token(**changes):
    now = time.time()
    claims = {"iss": ISSUER, "aud": "shop", "sub": "ann-1", "exp": now + 300, "iat": now}
    person = {"email": "ann@shop.test", "email_verified": True, "name": "Ann Example"}
    return PAIR.sign(claims | person | changes)


async def exchange(shop, token):
    return await shop.http.post("/api/v1/auth/exchange", json={"token": token})


async def me(shop, tokens):
    return (
        await shop.http.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    ).json()


async def refused(shop, token):
    answer = await exchange(shop, token)
    return answer.status_code, answer.json()["code"]


async def test_the_first_sign_in_opens_an_account_and_the_next_one_finds_it(shop):
    first = await exchange(shop, an_id_token())
    second = await exchange(shop, an_id_token(email="other@shop.test"))

    user = await me(shop, first.json())
    assert (first.status_code, first.headers["Cache-Control"], second.status_code) == (200, "no-store", 200)
    assert (user["email"], user["full_name"], user["role"]) == ("ann@shop.test", "Ann Example", "customer")
    assert await me(shop, second.json()) == user
    assert await shop.sql("SELECT topic FROM auth_service.outbox") == [("user.registered",)]
    assert (await shop.refresh(first.json()["refresh_token"])).status_code == 200


async def test_a_hundred_of_one_account_in_an_hour_are_enough(shop, monkeypatch):
    monkeypatch.setattr(lately, "MOST", 2)

    answers = [await exchange(shop, an_id_token()) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 3590 < int(answers[2].headers["Retry-After"]) <= 3600


async def test_an_account_with_the_address_is_never_taken_over(shop):
    await shop.register()

    assert await refused(shop, an_id_token()) == (409, "email_taken")
    assert await shop.sql("SELECT count(*) FROM auth_service.identities") == [(0,)]


@pytest.mark.parametrize("changes", [{"email_verified": False}, {"email": "no address"}])
async def test_without_a_verified_address_nobody_opens_an_account(shop, changes):
    assert await refused(shop, an_id_token(**changes)) == (401, "token_invalid")
    assert await shop.sql("SELECT count(*) FROM auth_service.users") == [(0,)]


async def test_a_token_is_exchanged_once_even_by_two_processes_at_once(shop, another_shop):
    trusting(another_shop)
    token = an_id_token()

    answers = await asyncio.gather(*(exchange(each, token) for each in (shop, another_shop) * 5))

    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9
    assert await shop.sql("SELECT count(*) FROM auth_service.sessions") == [(1,)]


async def test_two_first_sign_ins_at_once_open_one_account(shop, another_shop):
    trusting(another_shop)

    answers = await asyncio.gather(
        *(exchange(each, an_id_token(nonce=n)) for n, each in enumerate((shop, another_shop)))
    )

    assert [answer.status_code for answer in answers] == [200, 200]
    assert await shop.sql("SELECT count(*) FROM auth_service.users") == [(1,)]


@pytest.mark.parametrize("kind", [EmailClaim, Identity])
async def test_an_account_that_is_opened_between_two_looks_is_recognised(shop, another_shop, monkeypatch, kind):
    trusting(another_shop)
    elsewhere = []

    async def load(tx, keys):
        found = await rows.load(tx, keys)
        if not elsewhere:
            elsewhere.append(None)
            elsewhere[0] = await exchange(another_shop, an_id_token(nonce="elsewhere"))
        return found

    rows = STORE.rows[kind]
    monkeypatch.setitem(STORE.rows, kind, replace(rows, load=load))

    answer = await exchange(shop, an_id_token())

    assert (answer.status_code, elsewhere[0].status_code) == (200, 200)
    assert await me(shop, answer.json()) == await me(shop, elsewhere[0].json())


async def test_our_own_tokens_and_old_ones_are_no_id_tokens(shop):
    ann = await shop.customer()

    assert await refused(shop, ann.tokens["access_token"]) == (401, "token_invalid")
    assert await refused(shop, "x") == (401, "token_invalid")
    assert await refused(shop, an_id_token(exp=time.time() - 1)) == (401, "token_expired")


async def test_there_is_no_password_that_opens_such_an_account(shop):
    await exchange(shop, an_id_token())

    for password in ("erased", "$argon2id", "correct horse"):
        assert (await shop.login(password=password)).json()["code"] == "credentials_wrong"


async def test_a_disabled_account_and_an_erased_one_are_not_entered_this_way(shop):
    admin = await shop.admin()
    user = await me(shop, (await exchange(shop, an_id_token())).json())
    path = f"/api/v1/users/{user['id']}"

    await shop.http.patch(path, json={"disabled": True}, headers=admin.headers)
    disabled = await refused(shop, an_id_token())
    await shop.http.delete(path, headers=admin.headers)
    again = await me(shop, (await exchange(shop, an_id_token())).json())

    assert disabled == (403, "account_disabled")
    assert again["id"] != user["id"]


async def test_where_no_issuer_is_trusted_nothing_is_exchanged(shop):
    shop.parts.own.openid = None

    assert await refused(shop, an_id_token()) == (404, "not_found")


async def test_the_issuer_is_a_setting():
    parts = a_service("postgresql://nobody@127.0.0.1:1/nothing", {})
    secrets = {"database_url": "postgresql://nobody@127.0.0.1:1/nothing", "broker_url": "amqp://nowhere"}
    parts.settings = Settings(**secrets, edge_key=EDGE_KEY, openid_issuer=ISSUER, openid_audience="us")
    await parts.database.open()

    async with parts.service.own(parts) as own:
        assert (own.openid._issuer, own.openid._audience) == (ISSUER, "us")

    await parts.database.close()
