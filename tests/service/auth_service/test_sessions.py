"""Sessions over HTTP, on a real PostgreSQL: sign-in, refresh, logout."""

import asyncio
import statistics
import time

import asyncpg
import pytest
from jose import jws, jwt

from auth_service import forgetting
from chassis.ids import new_id, typeid
from tests.service.auth_service.conftest import at_work
from tests.support.auth_service import PASSWORD


async def tokens_by_state(shop):
    rows = await shop.sql("SELECT state, count(*) FROM auth_service.refresh_tokens GROUP BY 1")
    return dict(rows)


# --- sign-in


async def test_a_sign_in_is_answered_with_two_tokens(shop):
    await shop.register()

    answer = await shop.login("ANN@shop.test")

    tokens = answer.json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert set(tokens) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 600)
    assert len(tokens["refresh_token"]) == 43


async def test_an_access_token_is_signed_with_a_published_key(shop):
    ann = await shop.customer()

    published = await shop.http.get("/.well-known/jwks.json")

    [key] = published.json()["keys"]
    claims = jwt.decode(ann.tokens["access_token"], key, algorithms=["ES256"], audience="ordermill")
    assert (claims["sub"], claims["role"], claims["exp"] - claims["iat"]) == (ann.user["id"], "customer", 600)
    assert jws.get_unverified_header(ann.tokens["access_token"])["kid"] == key["kid"]
    assert "d" not in key
    assert published.headers["Cache-Control"] == "public, max-age=60"


async def test_wrong_password_and_unknown_address_are_answered_the_same(shop):
    await shop.register()

    wrong = await shop.login(password="wrong horse")
    unknown = await shop.login("nobody@shop.test")

    assert wrong.status_code == unknown.status_code == 401
    told = [{k: v for k, v in answer.json().items() if k != "request_id"} for answer in (wrong, unknown)]
    assert told[0] == told[1]
    assert told[0]["code"] == "credentials_wrong"


async def test_wrong_password_and_unknown_address_take_the_same_time(shop):
    await shop.register()

    async def seconds(email):
        started = time.perf_counter()
        await shop.login(email, "wrong horse")
        return time.perf_counter() - started

    pairs = [(await seconds("ann@shop.test"), await seconds("nobody@shop.test")) for _ in range(9)]

    assert 0.4 < statistics.median(unknown / known for known, unknown in pairs) < 2.5


async def test_the_docs_page_signs_in_with_a_form(shop):
    await shop.register()

    answer = await shop.http.post("/api/v1/auth/token", data={"username": "Ann@shop.test", "password": PASSWORD})

    assert answer.status_code == 200
    me = await shop.http.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
    assert me.json()["email"] == "ann@shop.test"


@pytest.mark.parametrize("username", ["ann@shop.test", "nobody@shop.test", "no address"])
async def test_a_form_with_wrong_credentials_is_refused(shop, username):
    await shop.register()

    answer = await shop.http.post("/api/v1/auth/token", data={"username": username, "password": "wrong horse"})

    assert (answer.status_code, answer.json()["code"]) == (401, "credentials_wrong")


async def test_a_refresh_token_is_stored_nowhere_as_it_is(shop):
    ann = await shop.customer()

    [(stored,)] = await shop.sql("SELECT refresh_tokens::text FROM auth_service.refresh_tokens")

    assert ann.tokens["refresh_token"] not in stored
    assert ann.tokens["refresh_token"].encode().hex() not in stored


# --- refresh


async def test_a_refresh_gives_two_new_tokens_that_work(shop):
    ann = await shop.customer()

    answer = await shop.refresh(ann.tokens["refresh_token"])

    renewed = answer.json()
    assert answer.status_code == 200
    assert renewed["refresh_token"] != ann.tokens["refresh_token"]
    me = await shop.http.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {renewed['access_token']}"})
    assert me.json() == ann.user
    assert await tokens_by_state(shop) == {"rotated": 1, "active": 1}
    assert (await shop.refresh(renewed["refresh_token"])).status_code == 200


async def test_a_refresh_token_that_was_used_before_ends_the_whole_family(shop):
    ann = await shop.customer()
    renewed = (await shop.refresh(ann.tokens["refresh_token"])).json()

    reused = await shop.refresh(ann.tokens["refresh_token"])

    assert (reused.status_code, reused.json()["code"]) == (401, "refresh_reused")
    assert reused.headers["WWW-Authenticate"].startswith("Bearer")
    after = await shop.refresh(renewed["refresh_token"])
    assert (after.status_code, after.json()["code"]) == (401, "token_invalid")
    assert await tokens_by_state(shop) == {"rotated": 1, "revoked": 1}


async def test_the_end_of_one_family_leaves_the_others_alone(shop):
    ann = await shop.customer()
    elsewhere = (await shop.login()).json()
    await shop.refresh(ann.tokens["refresh_token"])
    await shop.refresh(ann.tokens["refresh_token"])

    assert (await shop.refresh(elsewhere["refresh_token"])).status_code == 200


async def test_of_many_refreshes_at_once_one_wins_and_its_token_works(shop):
    ann = await shop.customer()

    answers = await asyncio.gather(*(shop.refresh(ann.tokens["refresh_token"]) for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 19
    assert {answer.json()["code"] for answer in answers if answer.status_code == 401} == {"refresh_reused"}
    assert await tokens_by_state(shop) == {"rotated": 1, "active": 1}
    [winner] = [answer.json() for answer in answers if answer.status_code == 200]
    assert (await shop.refresh(winner["refresh_token"])).status_code == 200


async def test_of_two_processes_that_refresh_one_token_at_once_at_most_one_leaves_a_token_that_works(
    shop, another_shop
):
    ann = await shop.customer()
    token = ann.tokens["refresh_token"]

    answers = await asyncio.gather(shop.refresh(token), another_shop.refresh(token))

    assert sorted(answer.status_code for answer in answers) == [200, 401]
    assert (await tokens_by_state(shop)).get("active", 0) <= 1


async def test_the_database_refuses_a_session_a_second_active_token(shop):
    await shop.customer()

    with pytest.raises(asyncpg.UniqueViolationError, match="one_active_token_a_session"):
        await shop.sql(
            "INSERT INTO auth_service.refresh_tokens (digest, session_id, state, issued_at, expires_at)"
            " SELECT 'another', session_id, state, issued_at, expires_at FROM auth_service.refresh_tokens"
        )


@pytest.mark.parametrize("token", ["made-up", "é"])
async def test_a_made_up_refresh_token_is_refused(shop, token):
    answer = await shop.refresh(token)

    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


async def test_an_access_token_is_no_refresh_token_and_the_other_way_round(shop):
    ann = await shop.customer()

    as_access = await shop.http.get(
        "/api/v1/auth/me", headers={"Authorization": f"Bearer {ann.tokens['refresh_token']}"}
    )

    assert (await shop.refresh(ann.tokens["access_token"][:256])).json()["code"] == "token_invalid"
    assert as_access.json()["code"] == "token_invalid"


async def test_a_refresh_token_that_has_expired_is_refused(shop):
    ann = await shop.customer()
    await shop.sql("UPDATE auth_service.refresh_tokens SET expires_at = now()")

    answer = await shop.refresh(ann.tokens["refresh_token"])

    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")


# --- the end of sessions


async def test_whoever_logs_out_cannot_refresh_any_more(shop):
    ann = await shop.customer()

    answer = await shop.http.post("/api/v1/auth/logout", headers=ann.headers)

    assert (answer.status_code, answer.content) == (204, b"")
    assert (await shop.refresh(ann.tokens["refresh_token"])).json()["code"] == "token_invalid"
    again = await shop.http.post("/api/v1/auth/logout", headers=ann.headers)
    assert again.status_code == 204


async def test_one_sees_and_revokes_ones_sessions(shop):
    ann = await shop.customer()
    agent = {"User-Agent": "laptop"}
    body = {"email": "ann@shop.test", "password": PASSWORD}
    elsewhere = (await shop.http.post("/api/v1/auth/login", json=body, headers=agent)).json()

    listed = (await shop.http.get("/api/v1/auth/sessions", headers=ann.headers)).json()["data"]

    assert [(session["client"] == "laptop", session["current"]) for session in listed] == [(True, False), (False, True)]
    revoked = await shop.http.delete(f"/api/v1/auth/sessions/{listed[0]['id']}", headers=ann.headers)
    assert revoked.status_code == 204
    assert (await shop.refresh(elsewhere["refresh_token"])).json()["code"] == "token_invalid"
    left = (await shop.http.get("/api/v1/auth/sessions", headers=ann.headers)).json()["data"]
    assert left == listed[1:]


async def test_nobody_revokes_the_session_of_somebody_else(shop):
    ann, bob = await shop.customer("ann@shop.test"), await shop.customer("bob@shop.test")
    [session] = (await shop.http.get("/api/v1/auth/sessions", headers=bob.headers)).json()["data"]

    for session_id in (session["id"], typeid("ses", new_id())):
        answer = await shop.http.delete(f"/api/v1/auth/sessions/{session_id}", headers=ann.headers)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    assert (await shop.refresh(bob.tokens["refresh_token"])).status_code == 200


# --- what is kept


async def test_all_processes_sign_with_the_same_key(shop, another_shop):
    await shop.sql("TRUNCATE auth_service.signing_keys")

    first, second = await asyncio.gather(
        *(each.http.get("/.well-known/jwks.json") for each in (shop, another_shop)),
    )

    assert first.json() == second.json()
    stored = await shop.sql("SELECT kid FROM auth_service.signing_keys")
    assert len(stored) <= 1


async def test_the_service_starts_without_its_database_and_says_that_it_is_away():
    async with at_work("postgresql://nobody@127.0.0.1:1/nothing") as shop:
        keys = await shop.http.get("/.well-known/jwks.json")
        me = await shop.http.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {'x' * 9}.y.{'z' * 86}"})

    assert (keys.status_code, keys.json()["code"], keys.headers["Retry-After"]) == (503, "unavailable", "1")
    assert (me.status_code, me.json()["code"]) == (401, "token_invalid")


async def test_sessions_are_forgotten_a_week_after_they_expired(shop):
    await shop.customer("ann@shop.test")
    kept = await shop.customer("bob@shop.test")
    await shop.refresh(kept.tokens["refresh_token"])
    await shop.sql(
        """
        UPDATE auth_service.sessions SET expires_at = now() - interval '7 days 1 minute'
        WHERE user_id = (SELECT id FROM auth_service.users WHERE email = 'ann@shop.test')
        """
    )
    await shop.sql(
        """
        UPDATE auth_service.refresh_tokens SET expires_at = now() - interval '7 days 1 minute' WHERE state = 'rotated'
        """
    )

    more = await forgetting.step(shop.parts)

    assert more is False
    assert await shop.sql("SELECT count(*) FROM auth_service.sessions") == [(1,)]
    assert await tokens_by_state(shop) == {"active": 1}
