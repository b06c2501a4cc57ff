"""What happens to accounts is noted, in the transaction in which it happens, and shown to administrators."""

import asyncio
import re

import pytest

from auth_service.domain.user import CredentialsWrong
from chassis.ids import parse_typeid
from tests.support.auth_service import PASSWORD

ANOTHER = "another correct horse"


async def noted(shop, admin, **query):
    """What, about whom, by whom and with which words; the oldest first, without the administrator's own arrival."""
    answer = await shop.http.get("/api/v1/auth/security-events", headers=admin.headers, params={"limit": 100, **query})
    assert answer.status_code == 200, answer.text
    return list(reversed(answer.json()["data"]))


async def told(shop, admin, **query):
    return [(event["what"], event["note"]) for event in await noted(shop, admin, **query)]


@pytest.mark.parametrize("sent", ["till-7", "x" * 64, "x" * 65, "ann@shop.test", "two words", "a\tb", "<b>"])
async def test_of_the_id_that_a_client_gives_a_request_a_short_word_is_kept_and_nothing_else(shop, sent):
    ann, admin = await shop.customer(), await shop.admin()
    signing_out = await shop.http.post("/api/v1/auth/logout", headers={**ann.headers, "X-Request-ID": sent})

    [event] = await noted(shop, admin, user_id=ann.user["id"], what="signed_out")

    assert event["request_id"] == signing_out.headers["X-Request-ID"]
    assert (event["request_id"] == sent) is (sent in {"till-7", "x" * 64})
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", event["request_id"])


async def test_a_customers_life_is_noted_with_who_did_what(shop):
    ann, admin = await shop.customer(), await shop.admin()
    await shop.login(password="wrong horse")
    await shop.http.post(
        "/api/v1/auth/password",
        json={"current_password": "wrong horse", "new_password": ANOTHER},
        headers=ann.headers,
    )
    await shop.http.post(
        "/api/v1/auth/password", json={"current_password": PASSWORD, "new_password": ANOTHER}, headers=ann.headers
    )
    await shop.http.post("/api/v1/auth/logout", headers=ann.headers)
    user = f"/api/v1/users/{ann.user['id']}"
    await shop.http.patch(user, json={"role": "staff"}, headers=admin.headers)
    await shop.http.patch(user, json={"disabled": True}, headers=admin.headers)
    await shop.login(password=ANOTHER)
    await shop.http.patch(user, json={"disabled": False, "full_name": "Ann"}, headers=admin.headers)
    await shop.http.delete(user, headers=admin.headers)

    events = await noted(shop, admin, user_id=ann.user["id"])

    whats = [(event["what"], event["note"].partition("_")[0]) for event in events]
    assert whats == [
        ("registered", "customer"),
        ("signed_in", "ses"),
        ("refused", "credentials"),
        ("refused", "credentials"),
        ("password_changed", ""),
        ("signed_out", "ses"),
        ("role_changed", "customer → staff"),
        ("disabled", ""),
        ("refused", "account"),
        ("enabled", ""),
        ("erased", ""),
    ]
    [admins_id] = {event["actor"] for event in events if event["what"] in {"role_changed", "disabled", "erased"}}
    assert {event["actor"] for event in events} == {"anonymous", ann.user["id"], admins_id}
    places = {event["place"] for event in events if event["what"] in {"signed_in", "refused"}}
    assert len(places) == 1
    assert "127.0.0.1" not in str(events)
    assert "ann@shop.test" not in str(events)


async def test_an_address_without_an_account_is_noted_as_nobodys_and_answered_the_same(shop):
    admin = await shop.admin()

    await shop.login("nobody@shop.test")

    [event] = await noted(shop, admin, what="refused")
    assert (event["user_id"], event["note"], event["actor"]) == (None, "credentials_wrong", "anonymous")


async def test_a_copied_refresh_token_is_noted_once_however_often_it_is_shown(shop):
    ann, admin = await shop.customer(), await shop.admin()
    copied = ann.tokens["refresh_token"]
    await shop.refresh(copied)

    for _ in range(3):
        await shop.refresh(copied)

    assert [what for what, _ in await told(shop, admin, what="token_reused")] == ["token_reused"]


async def test_keys_and_revoked_sessions_are_noted_by_their_ids(shop):
    ann, admin = await shop.customer(), await shop.admin()
    made = await shop.http.post(
        "/api/v1/auth/api-keys", json={"name": "program", "scopes": ["orders:read"]}, headers=ann.headers
    )
    key = made.json()
    await shop.http.delete(f"/api/v1/auth/api-keys/{key['id']}", headers=ann.headers)
    [session] = (await shop.http.get("/api/v1/auth/sessions", headers=ann.headers)).json()["data"]
    for _ in range(2):
        await shop.http.delete(f"/api/v1/auth/sessions/{session['id']}", headers=ann.headers)

    events = await told(shop, admin, user_id=ann.user["id"])

    assert events[2:] == [
        ("api_key_created", f"{key['id']}: orders:read"),
        ("api_key_revoked", key["id"]),
        ("session_revoked", session["id"]),
    ]
    assert key["api_key"] not in str(events)


async def test_a_change_that_changes_no_right_is_not_noted(shop):
    ann, admin = await shop.customer(), await shop.admin()

    await shop.http.patch(f"/api/v1/users/{ann.user['id']}", json={"full_name": "Ann"}, headers=admin.headers)

    assert [what for what, _ in await told(shop, admin, user_id=ann.user["id"])] == ["registered", "signed_in"]


async def test_what_is_noted_comes_in_pages_and_by_kind(shop):
    await asyncio.gather(*(shop.register(f"ann{number}@shop.test") for number in range(5)))
    admin = await shop.admin()

    seen, query = [], {"what": ["registered"], "limit": 2}
    while query:
        page = (await shop.http.get("/api/v1/auth/security-events", headers=admin.headers, params=query)).json()
        seen += [event["id"] for event in page["data"]]
        query = {**query, "cursor": page["next_cursor"]} if page["has_more"] else {}

    assert len(seen) == len(set(seen)) == 6
    assert all(parse_typeid("sec", one) for one in seen)


async def test_a_wrong_current_password_is_called_by_its_name(shop):
    ann = await shop.customer()

    refused = await shop.http.post(
        "/api/v1/auth/password",
        json={"current_password": "wrong horse", "new_password": ANOTHER},
        headers=ann.headers,
    )

    assert (refused.status_code, refused.json()["code"]) == (401, "credentials_wrong")
    assert refused.json()["detail"] == "The current password is wrong."
    assert CredentialsWrong.__doc__ != refused.json()["detail"]


@pytest.mark.parametrize("what", ["", "everything", "signed_in,refused"])
async def test_a_kind_that_there_is_not_is_said(shop, what):
    admin = await shop.admin()

    refused = await shop.http.get("/api/v1/auth/security-events", headers=admin.headers, params={"what": what})

    assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")
