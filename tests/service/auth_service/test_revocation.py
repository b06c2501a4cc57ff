"""Whoever is shut out is refused with a token that looks good, at every edge, as soon as the list is read again."""

import httpx2
import pytest
from pydantic import SecretStr

from ordermill.services import SERVICES
from tests.support.auth_service import PASSWORD
from tests.support.neighbours import saying


async def status(shop, signed_in):
    return (await shop.http.get("/api/v1/auth/me", headers=signed_in.headers)).status_code


async def lists(shop):
    await shop.parts.verifier.revocations.read()


async def change(shop, admin, user, **fields):
    answer = await shop.http.patch(f"/api/v1/users/{user['id']}", json=fields, headers=admin.headers)
    assert answer.status_code == 200


@pytest.fixture
async def ann(shop):
    signed_in = await shop.customer()
    assert await status(shop, signed_in) == 200
    return signed_in


async def test_a_disabled_account_is_refused_with_a_token_that_was_good(shop, ann):
    bob = await shop.customer("bob@shop.test")
    await change(shop, await shop.admin(), ann.user, disabled=True)

    await lists(shop)

    refused = await shop.http.get("/api/v1/auth/me", headers=ann.headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "token_invalid")
    assert "session" in refused.json()["detail"]
    assert await status(shop, bob) == 200


async def test_another_process_refuses_it_as_well(shop, another_shop, ann):
    assert await status(another_shop, ann) == 200
    await change(shop, await shop.admin(), ann.user, disabled=True)

    await lists(another_shop)

    assert await status(another_shop, ann) == 401


async def test_whoever_is_enabled_again_signs_in_again(shop, ann):
    admin = await shop.admin()
    await change(shop, admin, ann.user, disabled=True)
    await change(shop, admin, ann.user, disabled=False)
    await lists(shop)

    assert await status(shop, ann) == 401
    again = (await shop.login()).json()
    me = await shop.http.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {again['access_token']}"})
    assert me.status_code == 200


async def test_a_changed_role_holds_within_seconds(shop, ann):
    await change(shop, await shop.admin(), ann.user, role="staff")
    await lists(shop)

    assert await status(shop, ann) == 401


async def test_a_new_password_shuts_out_the_other_sessions_and_not_this_one(shop, ann):
    elsewhere = (await shop.login()).json()
    body = {"current_password": PASSWORD, "new_password": "another horse"}
    await shop.http.post("/api/v1/auth/password", json=body, headers=ann.headers)
    await lists(shop)

    others = {"Authorization": f"Bearer {elsewhere['access_token']}"}
    assert (await shop.http.get("/api/v1/auth/me", headers=others)).status_code == 401
    assert await status(shop, ann) == 200


async def test_a_revoked_session_and_one_that_logged_out_are_refused(shop, ann):
    await shop.http.post("/api/v1/auth/logout", headers=ann.headers)
    bob = await shop.customer("bob@shop.test")
    [session] = (await shop.http.get("/api/v1/auth/sessions", headers=bob.headers)).json()["data"]
    await shop.http.delete(f"/api/v1/auth/sessions/{session['id']}", headers=bob.headers)
    await lists(shop)

    assert [await status(shop, ann), await status(shop, bob)] == [401, 401]


async def test_a_stolen_refresh_token_that_is_used_twice_shuts_out_the_thief_as_well(shop, ann):
    stolen = (await shop.refresh(ann.tokens["refresh_token"])).json()
    await shop.refresh(ann.tokens["refresh_token"])
    await lists(shop)

    thief = {"Authorization": f"Bearer {stolen['access_token']}"}
    assert (await shop.http.get("/api/v1/auth/me", headers=thief)).status_code == 401


async def test_what_has_ended_long_ago_is_not_listed_any_more(shop, ann):
    await shop.http.post("/api/v1/auth/logout", headers=ann.headers)
    await shop.sql("UPDATE auth_service.sessions SET ended_at = now() - interval '12 minutes'")

    assert (await shop.parts.peers["auth_service"].get("/internal/revocations")).json() == {"ended": []}


async def test_the_list_is_for_neighbours_alone(shop, ann):
    for headers in ({}, ann.headers, {"Authorization": "Bearer a guess"}, saying("order_service", "payment_service")):
        answer = await shop.http.get("/internal/revocations", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
    door = await shop.http.get("/internal/revocations", headers=saying("gateway", "auth_service"))
    assert (door.status_code, door.json()["code"]) == (403, "forbidden")
    for service in SERVICES:
        answer = await shop.http.get("/internal/revocations", headers=saying(service, "auth_service"))
        assert answer.status_code == 200


async def test_services_of_the_release_before_are_told_the_list_and_nothing_else_for_the_token_of_then(shop, ann):
    shown = {"Authorization": "Bearer of all services"}
    before = await shop.http.get("/internal/revocations", headers=shown)
    shop.parts.settings = shop.parts.settings.model_copy(update={"service_token": SecretStr("of all services")})

    now = await shop.http.get("/internal/revocations", headers=shown)
    contact = await shop.http.get(f"/internal/contacts/{ann.user['id']}", headers=shown)
    guess = await shop.http.get("/internal/revocations", headers={"Authorization": "Bearer \xe9".encode("latin-1")})

    assert [answer.status_code for answer in (before, now, contact, guess)] == [401, 200, 401, 401]


async def test_where_the_list_cannot_be_read_nobody_is_let_in(shop, ann):
    async def away(_request):
        return httpx2.Response(503)

    shop.parts.peers["auth_service"] = httpx2.AsyncClient(transport=httpx2.MockTransport(away), base_url="http://auth")
    shop.parts.verifier.revocations._read_at = float("-inf")
    await lists(shop)

    answer = await shop.http.get("/api/v1/auth/me", headers=ann.headers)

    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "unavailable", "1")


async def make_a_key(shop, signed_in):
    body = {"name": "till 3", "scopes": ["orders:read"]}
    return (await shop.http.post("/api/v1/auth/api-keys", json=body, headers=signed_in.headers)).status_code


async def test_whoever_is_shut_out_makes_no_key_that_outlasts_it_however_old_the_list_is(shop, ann):
    assert await make_a_key(shop, ann) == 201
    await shop.http.post("/api/v1/auth/logout", headers=ann.headers)

    assert await status(shop, ann) == 200  # nobody has read the list yet
    assert await make_a_key(shop, ann) == 401


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_nor_does_an_administrator_who_is_shut_out_administer(shop, ann, method):
    root = await shop.admin()
    await shop.http.post("/api/v1/auth/logout", headers=root.headers)

    body = {"role": "admin"} if method == "PATCH" else None
    refused = await shop.http.request(method, f"/api/v1/users/{ann.user['id']}", json=body, headers=root.headers)

    assert (refused.status_code, refused.json()["code"]) == (401, "token_invalid")
    assert await shop.sql("SELECT role, erased_at FROM auth_service.users WHERE email = 'ann@shop.test'") == [
        ("customer", None)
    ]
