"""Erasing a user over HTTP, on a real PostgreSQL: what says who they are is gone at once, and others are told."""

import pytest

from auth_service import erasing
from chassis.ids import new_id, typeid
from tests.support.auth_service import PASSWORD

TELL = {"email": "ann@shop.test", "password": PASSWORD, "full_name": "Ann Thistlewood", "phone_number": "+4930901820"}


@pytest.fixture
async def admin(shop):
    return await shop.admin()


@pytest.fixture
async def ann(shop):
    await shop.register(**TELL)
    agent = {"User-Agent": "Ann's telephone"}
    body = {name: TELL[name] for name in ("email", "password")}
    tokens = (await shop.http.post("/api/v1/auth/login", json=body, headers=agent)).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    key = {"name": "Ann's till", "scopes": ["orders:read"]}
    key = (await shop.http.post("/api/v1/auth/api-keys", json=key, headers=headers)).json()["api_key"]
    me = (await shop.http.get("/api/v1/auth/me", headers=headers)).json()
    return {"user": me, "headers": headers, "key": key, **tokens}


async def erase(shop, admin, user):
    return await shop.http.delete(f"/api/v1/users/{user['id']}", headers=admin.headers)


async def everything(shop):
    """All rows of all tables, as text."""
    tables = await shop.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'auth_service'")
    rows = [await shop.sql(f"SELECT t::text FROM auth_service.{table} t") for (table,) in tables]  # noqa: S608 -- ours
    return " ".join(text for table in rows for (text,) in table).lower()


async def test_nothing_in_the_database_says_who_an_erased_user_was(shop, admin, ann):
    before = await everything(shop)

    answer = await erase(shop, admin, ann["user"])

    after = await everything(shop)
    assert (answer.status_code, answer.content) == (204, b"")
    said = ("ann@shop", "ann thistlewood", "4930901820", "ann's telephone", "ann's till")
    assert all(word in before for word in said)
    assert [word for word in said if word in after] == []
    hashes = await shop.sql("SELECT password_hash FROM auth_service.users WHERE erased_at IS NOT NULL")
    assert hashes == [("",)]
    assert await shop.sql("SELECT count(*) FROM auth_service.users") == [(2,)]


async def test_the_others_are_told_at_once_and_again_after_three_minutes(shop, admin, ann):
    await erase(shop, admin, ann["user"])
    await erasing.step(shop.parts)
    told = "SELECT count(*) FROM auth_service.outbox WHERE topic = 'user.erased'"
    assert await shop.sql(told) == [(1,)]
    await shop.sql("UPDATE auth_service.users SET erase_again_at = now() WHERE erase_again_at IS NOT NULL")

    for _ in range(2):
        assert await erasing.step(shop.parts) is False

    assert await shop.sql(told) == [(2,)]
    ids = await shop.sql("SELECT events::jsonb -> 0 ->> 'id' FROM auth_service.outbox WHERE topic = 'user.erased'")
    assert len(set(ids)) == 2


async def test_while_nobody_is_erased_nothing_is_written(shop, ann):
    async with shop.parts.database.transaction() as tx:
        await tx.sql("LOCK auth_service.sessions, auth_service.api_keys IN SHARE MODE")  # who reads passes by it

        assert await erasing.step(shop.parts) is False


async def test_an_erased_user_is_nowhere(shop, admin, ann):
    await erase(shop, admin, ann["user"])
    path = f"/api/v1/users/{ann['user']['id']}"

    one = await shop.http.get(path, headers=admin.headers)
    changed = await shop.http.patch(path, json={"full_name": "Ann"}, headers=admin.headers)
    listed = await shop.http.get("/api/v1/users", headers=admin.headers)
    contact = await shop.parts.peers["auth_service"].get(f"/internal/contacts/{ann['user']['id']}")
    again = await erase(shop, admin, ann["user"])

    assert [answer.status_code for answer in (one, changed, contact, again)] == [404] * 4
    assert [user["email"] for user in listed.json()["data"]] == ["root@shop.test"]


async def test_an_erased_user_gets_in_no_more_by_any_way(shop, admin, ann):
    await erase(shop, admin, ann["user"])
    await shop.parts.verifier.revocations.read()

    assert (await shop.http.get("/api/v1/auth/me", headers=ann["headers"])).status_code == 401
    assert (await shop.refresh(ann["refresh_token"])).status_code in {401, 403}
    assert (await shop.login(password=PASSWORD)).json()["code"] == "credentials_wrong"
    assert (await shop.login(f"{ann['user']['id']}@erased.invalid", "")).status_code == 422
    exchanged = await shop.http.post("/api/v1/auth/api-keys/exchange", json={"api_key": ann["key"]})
    assert exchanged.json()["code"] == "token_invalid"


async def test_the_address_is_free_for_somebody_new(shop, admin, ann):
    await erase(shop, admin, ann["user"])

    answer = await shop.register()

    assert answer.status_code == 201
    assert answer.json()["id"] != ann["user"]["id"]


async def test_nobody_but_an_administrator_erases_and_none_themselves(shop, admin, ann):
    own = await shop.http.get("/api/v1/auth/me", headers=admin.headers)
    asked = [
        (ann["headers"], ann["user"]["id"], 403),
        ({}, ann["user"]["id"], 401),
        (admin.headers, own.json()["id"], 403),
        (admin.headers, typeid("usr", new_id()), 404),
        (admin.headers, "usr_made-up", 422),
    ]

    for headers, user_id, status in asked:
        answer = await shop.http.delete(f"/api/v1/users/{user_id}", headers=headers)
        assert answer.status_code == status

    assert (await shop.login(password=PASSWORD)).status_code == 200
