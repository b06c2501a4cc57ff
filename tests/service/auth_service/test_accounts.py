"""Accounts over HTTP, on a real PostgreSQL."""

import asyncio
from datetime import datetime

import pytest

from auth_service.accounts import create_user
from auth_service.domain.user import EmailTaken
from chassis.ids import new_id, typeid
from contracts.types import Role
from tests.support.auth_service import PASSWORD
from tests.support.neighbours import saying

# --- registration


async def test_a_registration_is_answered_with_the_user_and_told_once(shop):
    answer = await shop.register("Ann@Shop.test", full_name=" Ann Example ", phone_number="+4930901820", locale="de-DE")

    user = answer.json()
    assert answer.status_code == 201
    assert answer.headers["ETag"] == '"1"'
    assert set(user) == {
        "id", "email", "full_name", "phone_number", "locale", "role", "disabled", "version", "created_at", "updated_at"
    }  # fmt: skip
    assert user["id"].startswith("usr_")
    assert (user["email"], user["full_name"], user["phone_number"]) == ("ann@shop.test", "Ann Example", "+4930901820")
    assert (user["role"], user["disabled"], user["version"], user["locale"]) == ("customer", False, 1, "de-DE")
    assert datetime.fromisoformat(user["created_at"]).tzinfo is not None
    [(topic, events)] = await shop.sql("SELECT topic, events FROM auth_service.outbox")
    assert topic == "user.registered"
    assert "shop.test" not in events
    assert "Ann" not in events


async def test_a_password_is_stored_as_argon2id_with_19_mib_and_two_passes(shop):
    await shop.register()

    [(stored,)] = await shop.sql("SELECT password_hash FROM auth_service.users")

    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_an_address_is_taken_whatever_its_case(shop):
    await shop.register("ann@shop.test")

    answer = await shop.register("ANN@Shop.Test")

    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "email_taken"
    assert answer.json()["errors"][0]["pointer"] == "#/email"


async def test_of_twenty_registrations_of_one_address_at_once_one_succeeds(shop):
    answers = await asyncio.gather(*(shop.register("ann@shop.test") for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert await shop.sql("SELECT count(*) FROM auth_service.users") == [(1,)]
    assert await shop.sql("SELECT count(*) FROM auth_service.outbox") == [(1,)]


async def test_of_two_processes_that_register_one_address_at_once_one_is_told_that_it_is_taken(shop, another_shop):
    shops = [shop, another_shop] * 5
    answers = await asyncio.gather(*(each.register("ann@shop.test") for each in shops))

    codes = sorted((answer.status_code, answer.json().get("code")) for answer in answers if answer.status_code != 201)
    assert codes == [(409, "email_taken")] * 9


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "no-address"),
        ("email", "ann@localhost"),
        ("email", "ann @shop.test"),
        ("email", f"{'a' * 250}@shop.test"),
        ("email", None),
        ("password", "short77"),
        ("password", "x" * 129),
        ("password", "PassWord1"),
        ("password", "12345678"),
        ("full_name", ""),
        ("full_name", "Ann\0"),
        ("full_name", "Ann\r\nYour account is locked"),
        ("full_name", "Ann\u2028Your account is locked"),
        ("full_name", "Ann\u202e"),
        ("full_name", "Ann\tExample"),
        ("full_name", "x" * 201),
        ("phone_number", "123456789"),
        ("phone_number", "1234567890123456"),
        ("phone_number", "+49 30 901820"),
        ("phone_number", "٣٣٣٣٣٣٣٣٣٣"),
        ("phone_number", "1234567890\n"),
        ("locale", "english"),
    ],
)
async def test_a_registration_that_is_not_valid_names_the_field(shop, field, value):
    body = {"email": "ann@shop.test", "password": PASSWORD, field: value}

    answer = await shop.http.post("/api/v1/auth/register", json=body)

    assert answer.status_code == 422
    assert answer.json()["code"] == "validation_failed"
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [f"#/{field}"]
    assert await shop.sql("SELECT count(*) FROM auth_service.users") == [(0,)]


@pytest.mark.parametrize("password", ["x" * 8, "x" * 128, "pässwörd with ünïcode ✓"])
async def test_passwords_of_8_to_128_characters_are_taken_and_work(shop, password):
    await shop.register(password=password)

    assert (await shop.login(password=password)).status_code == 200


async def test_nobody_registers_with_a_role_of_their_choice(shop):
    answer = await shop.register(role="admin")

    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_field")


# --- oneself


async def test_whoever_is_signed_in_sees_and_changes_their_profile(shop):
    ann = await shop.customer()
    seen = await shop.http.get("/api/v1/auth/me", headers=ann.headers)
    assert (seen.json(), seen.headers["ETag"]) == (ann.user, '"1"')

    changed = await shop.http.patch(
        "/api/v1/auth/me", json={"full_name": "Ann"}, headers={**ann.headers, "If-Match": seen.headers["ETag"]}
    )

    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    assert changed.json() == {**ann.user, "full_name": "Ann", "version": 2, "updated_at": changed.json()["updated_at"]}
    again = await shop.http.get("/api/v1/auth/me", headers=ann.headers)
    assert again.json() == changed.json()


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 428, "precondition_required"),
        ({"If-Match": '"7"'}, 412, "version_mismatch"),
        ({"If-Match": "seven"}, 400, "header_invalid"),
    ],
)
async def test_a_profile_changes_only_for_whoever_has_seen_it(shop, headers, status, code):
    ann = await shop.customer()

    answer = await shop.http.patch("/api/v1/auth/me", json={"full_name": "Ann"}, headers={**ann.headers, **headers})

    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_nobody_gives_themselves_a_role(shop):
    ann = await shop.customer()

    answer = await shop.http.patch(
        "/api/v1/auth/me", json={"role": "admin"}, headers={**ann.headers, "If-Match": '"1"'}
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_field")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "token_missing"),
        ({"Authorization": "Bearer x.y.z"}, "token_invalid"),
        ({"Authorization": "Basic eDp5"}, "token_missing"),
    ],
)
async def test_without_a_good_token_nobody_is_oneself(shop, headers, code):
    answer = await shop.http.get("/api/v1/auth/me", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


# --- the password


async def test_a_new_password_replaces_the_old_one_and_ends_the_other_sessions(shop):
    ann = await shop.customer()
    elsewhere = (await shop.login()).json()
    body = {"current_password": PASSWORD, "new_password": "another horse"}

    answer = await shop.http.post("/api/v1/auth/password", json=body, headers=ann.headers)

    assert (answer.status_code, answer.content) == (204, b"")
    assert (await shop.login()).status_code == 401
    assert (await shop.login(password="another horse")).status_code == 200
    assert (await shop.refresh(elsewhere["refresh_token"])).json()["code"] == "token_invalid"
    assert (await shop.refresh(ann.tokens["refresh_token"])).status_code == 200


async def test_a_password_changes_only_for_whoever_knows_the_old_one(shop):
    ann = await shop.customer()
    body = {"current_password": "wrong horse", "new_password": "another horse"}

    answer = await shop.http.post("/api/v1/auth/password", json=body, headers=ann.headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "credentials_wrong")
    assert (await shop.login()).status_code == 200


# --- administration


async def test_an_administrator_finds_and_changes_users(shop):
    admin = await shop.admin()
    ann = (await shop.register("ann@shop.test")).json()
    await shop.register("bob@shop.test")

    found = await shop.http.get("/api/v1/users", params={"email": "Ann@shop.test"}, headers=admin.headers)
    one = await shop.http.get(f"/api/v1/users/{ann['id']}", headers=admin.headers)
    changed = await shop.http.patch(f"/api/v1/users/{ann['id']}", json={"role": "staff"}, headers=admin.headers)
    staff = await shop.http.get("/api/v1/users", params={"role": ["staff", "admin"]}, headers=admin.headers)

    assert found.json() == {"data": [ann], "has_more": False, "next_cursor": None}
    assert (one.json(), one.headers["ETag"]) == (ann, '"1"')
    assert (changed.status_code, changed.json()["role"], changed.json()["version"]) == (200, "staff", 2)
    assert [user["email"] for user in staff.json()["data"]] == ["ann@shop.test", "root@shop.test"]


async def test_users_are_listed_page_by_page_newest_first(shop):
    admin = await shop.admin()
    for name in ("a", "b", "c"):
        await shop.register(f"{name}@shop.test")

    seen, cursor = [], None
    for _ in range(2):
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await shop.http.get("/api/v1/users", params=params, headers=admin.headers)).json()
        seen += [user["email"] for user in page["data"]]
        cursor = page["next_cursor"]

    assert seen == ["c@shop.test", "b@shop.test", "a@shop.test", "root@shop.test"]
    assert (page["has_more"], cursor) == (False, None)


async def test_users_are_listed_by_the_time_they_came_and_whether_they_are_disabled(shop):
    admin = await shop.admin()
    ann = (await shop.register("ann@shop.test")).json()
    await shop.http.patch(f"/api/v1/users/{ann['id']}", json={"disabled": True}, headers=admin.headers)

    async def listed(**params):
        page = (await shop.http.get("/api/v1/users", params=params, headers=admin.headers)).json()
        return [user["email"] for user in page["data"]]

    assert await listed(disabled=True) == ["ann@shop.test"]
    assert await listed(disabled=False) == ["root@shop.test"]
    assert await listed(created_after="2100-01-01T00:00:00Z") == []
    assert await listed(created_before=ann["created_at"]) == ["root@shop.test"]


async def test_a_disabled_user_is_told_so_and_cannot_refresh(shop):
    admin = await shop.admin()
    ann = await shop.customer()

    answer = await shop.http.patch(f"/api/v1/users/{ann.user['id']}", json={"disabled": True}, headers=admin.headers)

    assert answer.json()["disabled"] is True
    assert ((await shop.login()).status_code, (await shop.login()).json()["code"]) == (403, "account_disabled")
    assert (await shop.login(password="wrong horse")).json()["code"] == "credentials_wrong"
    assert (await shop.refresh(ann.tokens["refresh_token"])).json()["code"] == "account_disabled"


async def test_users_are_for_administrators_alone(shop):
    ann = await shop.customer()

    for method, path in (("GET", "/users"), ("GET", f"/users/{ann.user['id']}"), ("PATCH", f"/users/{ann.user['id']}")):
        answer = await shop.http.request(method, f"/api/v1{path}", json={}, headers=ann.headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_user_who_is_not_there_is_not_found(shop):
    admin = await shop.admin()
    path = f"/api/v1/users/{typeid('usr', new_id())}"

    assert (await shop.http.get(path, headers=admin.headers)).json()["code"] == "not_found"
    assert (await shop.http.patch(path, json={"role": "staff"}, headers=admin.headers)).json()["code"] == "not_found"


async def test_the_shop_makes_an_account_once(shop):
    user = await create_user(shop.parts.pipeline, "Staff@shop.test", PASSWORD, Role.STAFF, "Sam")

    assert (user.email, user.role, user.full_name) == ("staff@shop.test", Role.STAFF, "Sam")
    with pytest.raises(EmailTaken):
        await create_user(shop.parts.pipeline, "staff@shop.test", PASSWORD, Role.STAFF)


# --- contacts


async def test_neighbours_learn_where_a_user_is_written_to(shop):
    ann = (await shop.register(full_name="Ann", locale="fr")).json()

    answer = await shop.http.get(
        f"/internal/contacts/{ann['id']}", headers=saying("notification_service", "auth_service")
    )

    assert answer.json() == {"email": "ann@shop.test", "full_name": "Ann", "locale": "fr"}


async def test_contacts_are_for_who_writes_to_them_alone(shop):
    ann = await shop.customer()
    others = ("gateway", "auth_service", "inventory_service", "order_service", "payment_service")
    refusals = [({}, 401), (ann.headers, 401), (saying("notification_service", "order_service"), 401)]
    refusals += [(saying(each, "auth_service"), 403) for each in others]

    for headers, status in refusals:
        answer = await shop.http.get(f"/internal/contacts/{ann.user['id']}", headers=headers)
        code = "forbidden" if status == 403 else "token_invalid"
        assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_nobodys_contact_is_not_found(shop):
    answer = await shop.http.get(
        f"/internal/contacts/{typeid('usr', new_id())}", headers=saying("notification_service", "auth_service")
    )

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
