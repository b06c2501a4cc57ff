"""API keys over HTTP, on a real PostgreSQL: shown once, kept as digests, exchanged for short tokens."""

import asyncio
from uuid import UUID

import pytest
from jose import jwt

from auth_service import forgetting
from auth_service.digests import digest_of
from auth_service.domain.api_key import CreateApiKey, UseApiKey
from auth_service.domain.session import SessionOver
from auth_service.domain.user import Asker, ChangePassword
from chassis.ids import new_id, typeid
from tests.support.auth_service import DAY, PASSWORD, TRIED

BODY = {"name": "till 3", "scopes": ["orders:write", "orders:read", "orders:read"]}


async def create(shop, signed_in, **given):
    return await shop.http.post("/api/v1/auth/api-keys", json=BODY | given, headers=signed_in.headers)


async def exchange(shop, key):
    return await shop.http.post("/api/v1/auth/api-keys/exchange", json={"api_key": key})


async def refused(shop, key):
    answer = await exchange(shop, key)
    return answer.status_code, answer.json()["code"]


async def listed(shop, signed_in):
    return (await shop.http.get("/api/v1/auth/api-keys", headers=signed_in.headers)).json()["data"]


@pytest.fixture
async def ann(shop):
    return await shop.customer()


async def test_a_key_is_shown_once_and_kept_as_a_digest(shop, ann):
    answer = await create(shop, ann)

    key = answer.json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    assert key["api_key"].startswith("sk_")
    assert len(key["api_key"]) == 46
    assert (key["hint"], key["scopes"]) == (key["api_key"][:7], ["orders:read", "orders:write"])
    shown = {name: value for name, value in key.items() if name != "api_key"}
    assert await listed(shop, ann) == [shown]
    [(stored,)] = await shop.sql("SELECT k::text FROM auth_service.api_keys k")
    assert key["api_key"][7:] not in stored
    assert key["api_key"].encode().hex() not in stored


@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": []},
        {"scopes": ["orders:read", "everything"]},
        {"scopes": ["auth:write"]},
        {"name": ""},
        {"expires_in_days": 0},
        {"expires_in_days": 367},
        {"expires_in_days": None},
    ],
)
async def test_a_key_without_scopes_or_without_an_end_is_not_made(shop, ann, wrong):
    answer = await create(shop, ann, **wrong)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert await listed(shop, ann) == []


async def test_a_key_is_exchanged_for_a_short_token_with_its_scopes(shop, ann):
    key = (await create(shop, ann)).json()

    answer = await exchange(shop, key["api_key"])

    told = answer.json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert (told["token_type"], told["expires_in"], told["scope"]) == ("bearer", 45, "orders:read orders:write")
    [published] = (await shop.http.get("/.well-known/jwks.json")).json()["keys"]
    claims = jwt.decode(told["access_token"], published, algorithms=["ES256"], audience="ordermill")
    assert (claims["sub"], claims["sid"], claims["scope"]) == (ann.user["id"], key["id"], told["scope"])
    assert claims["exp"] - claims["iat"] == 45
    [seen] = await listed(shop, ann)
    assert seen["last_used_at"] is not None


async def test_the_token_of_a_key_that_is_about_to_expire_lasts_no_longer(shop, ann):
    key = (await create(shop, ann)).json()
    await shop.sql("UPDATE auth_service.api_keys SET expires_at = now() + interval '10 seconds'")

    assert (await exchange(shop, key["api_key"])).json()["expires_in"] <= 10


async def test_a_key_administers_nothing_about_its_owner(shop, ann):
    scopes = ["orders:read", "stock:write", "notifications:write"]
    key = (await create(shop, ann, scopes=scopes)).json()
    token = (await exchange(shop, key["api_key"])).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    asked = [
        ("GET", "/auth/me", None),
        ("PATCH", "/auth/me", {"locale": "de"}),
        ("POST", "/auth/password", {"current_password": PASSWORD, "new_password": "another horse"}),
        ("GET", "/auth/sessions", None),
        ("POST", "/auth/logout", None),
        ("POST", "/auth/api-keys", BODY),
        ("DELETE", f"/auth/api-keys/{key['id']}", None),
        ("GET", "/users", None),
    ]

    for method, path, body in asked:
        answer = await shop.http.request(method, f"/api/v1{path}", json=body, headers={**headers, "If-Match": '"1"'})
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing"), path


async def test_a_key_is_no_access_token_and_an_access_token_no_key(shop, ann):
    key = (await create(shop, ann)).json()["api_key"]

    me = await shop.http.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {key}"})

    assert (me.status_code, me.json()["code"]) == (401, "token_invalid")
    assert await refused(shop, ann.tokens["access_token"][:256]) == (401, "token_invalid")
    assert await refused(shop, ann.tokens["refresh_token"]) == (401, "token_invalid")
    assert await refused(shop, "sk_" + "A" * 43) == (401, "token_invalid")


async def test_a_revoked_key_is_refused_and_so_is_its_token(shop, ann):
    key = (await create(shop, ann)).json()
    await exchange(shop, key["api_key"])

    revoked = await shop.http.delete(f"/api/v1/auth/api-keys/{key['id']}", headers=ann.headers)

    assert revoked.status_code == 204
    assert await refused(shop, key["api_key"]) == (401, "token_invalid")
    assert await listed(shop, ann) == []
    [ended] = (await shop.parts.peers["auth_service"].get("/internal/revocations")).json()["ended"]
    assert await shop.sql("SELECT id::text FROM auth_service.api_keys") == [(ended,)]
    again = await shop.http.delete(f"/api/v1/auth/api-keys/{key['id']}", headers=ann.headers)
    assert again.status_code == 404


async def test_nobody_revokes_the_key_of_somebody_else(shop, ann):
    key = (await create(shop, ann)).json()
    bob = await shop.customer("bob@shop.test")

    answer = await shop.http.delete(f"/api/v1/auth/api-keys/{key['id']}", headers=bob.headers)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert await listed(shop, bob) == []
    assert (await exchange(shop, key["api_key"])).status_code == 200


async def test_an_expired_key_and_one_of_a_disabled_account_are_refused(shop, ann):
    key, other = (await create(shop, ann)).json(), (await create(shop, ann)).json()
    for used in (key, other):
        assert (await exchange(shop, used["api_key"])).status_code == 200
    await shop.sql("UPDATE auth_service.api_keys SET expires_at = now() WHERE hint = $1", other["hint"])
    admin = await shop.admin()
    assert await refused(shop, other["api_key"]) == (401, "token_invalid")

    await shop.http.patch(f"/api/v1/users/{ann.user['id']}", json={"disabled": True}, headers=admin.headers)

    assert await refused(shop, key["api_key"]) == (403, "account_disabled")
    ended = (await shop.parts.peers["auth_service"].get("/internal/revocations")).json()["ended"]
    assert len(ended) == 3


async def change_password(shop, signed_in, **given):
    body = {"current_password": PASSWORD, "new_password": "another horse", **given}
    return await shop.http.post("/api/v1/auth/password", json=body, headers=signed_in.headers)


async def noted(shop):
    return await shop.sql("SELECT note FROM auth_service.security_events WHERE what = 'password_changed'")


async def test_a_new_password_ends_the_keys_and_nobody_elses(shop, ann):
    bob = await shop.customer("bob@shop.test")
    keys = [(await create(shop, ann)).json() for _ in range(2)]
    others = (await create(shop, bob)).json()
    assert [(await exchange(shop, key["api_key"])).status_code for key in keys] == [200, 200]

    assert (await change_password(shop, ann)).status_code == 204

    assert [await refused(shop, key["api_key"]) for key in keys] == [(401, "token_invalid")] * 2
    assert await listed(shop, ann) == []
    ended = (await shop.parts.peers["auth_service"].get("/internal/revocations")).json()["ended"]
    assert {key["id"] for key in keys} <= {typeid("key", UUID(id_)) for id_ in ended}
    assert (await exchange(shop, others["api_key"])).status_code == 200
    assert await noted(shop) == [("API keys ended: 2",)]


async def test_a_new_password_leaves_the_keys_alone_where_their_owner_says_so(shop, ann):
    key = (await create(shop, ann)).json()

    await change_password(shop, ann, keep_api_keys=True)

    assert (await exchange(shop, key["api_key"])).status_code == 200
    assert await noted(shop) == [("",)]


async def asking_and_changing(shop):
    """Whose session ends with a new password, and the command that brings it."""
    [(user_id, proved, session_id)] = await shop.sql(
        "SELECT u.id, password_hash, s.id FROM auth_service.users u JOIN auth_service.sessions s ON user_id = u.id"
    )
    change = ChangePassword(user_id=user_id, tried=TRIED, proved=proved, password_hash="new hash", keep=new_id())
    return Asker(user_id, session_id), change


def creation(asker):
    return CreateApiKey(by=asker, digest=b"made", hint="sk_", name="x", scopes=("orders:read",), lasts=DAY)


async def test_a_key_that_comes_right_behind_a_new_password_is_not_made(shop, ann):
    asker, change = await asking_and_changing(shop)

    asked = map(shop.parts.pipeline.submit, (change, creation(asker)))
    _changed, made = await asyncio.gather(*asked, return_exceptions=True)

    assert isinstance(made, SessionOver)
    assert await shop.sql("SELECT count(*) FROM auth_service.api_keys") == [(0,)]


async def test_a_session_that_has_ended_makes_no_key_with_a_token_that_looks_good(shop, ann):
    await shop.http.post("/api/v1/auth/logout", headers=ann.headers)

    answer = await create(shop, ann)

    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert await shop.sql("SELECT count(*) FROM auth_service.api_keys") == [(0,)]


async def test_a_key_that_is_made_or_used_in_the_batch_of_a_new_password_ends_with_it(shop, ann):
    key = (await create(shop, ann)).json()["api_key"]
    asker, change = await asking_and_changing(shop)
    asked = [creation(asker), UseApiKey(digest=digest_of(key)), change]

    await asyncio.gather(*map(shop.parts.pipeline.submit, asked))

    assert await shop.sql("SELECT count(*) FROM auth_service.api_keys WHERE revoked_at IS NULL") == [(0,)]
    assert await noted(shop) == [("API keys ended: 2",)]


async def test_a_password_that_is_not_believed_ends_no_key(shop, ann):
    key = (await create(shop, ann)).json()

    assert (await change_password(shop, ann, current_password="wrong horse")).status_code == 401

    assert (await exchange(shop, key["api_key"])).status_code == 200


async def test_nobody_has_more_than_twenty_keys(shop, ann):
    made = [await create(shop, ann) for _ in range(21)]

    assert [answer.status_code for answer in made] == [201] * 20 + [409]
    assert made[-1].json()["code"] == "too_many_api_keys"


async def test_keys_are_forgotten_a_week_after_they_expired(shop, ann):
    await create(shop, ann)
    kept = (await create(shop, ann)).json()
    await shop.sql(
        "UPDATE auth_service.api_keys SET expires_at = now() - interval '8 days' WHERE hint <> $1", kept["hint"]
    )

    await forgetting.step(shop.parts)

    assert await shop.sql("SELECT hint FROM auth_service.api_keys") == [(kept["hint"],)]
