from base64 import urlsafe_b64encode

import pytest

from chassis.ids import new_id, typeid
from chassis.tokens import Role
from contracts.types import OrderId, UserId
from notification_service import sending
from tests.support.notification_service import CUSTOMER, ORDER, order_confirmed, order_rejected, stock_low

A_NAIVE_CURSOR = "?cursor=" + urlsafe_b64encode(f'["2026-01-01T00:00:00", "{ORDER}"]'.encode()).decode()
OTHER = UserId(new_id())


async def the_list(shop, query="", **given):
    answer = await shop.http.get(f"/notifications{query}", headers=shop.signed_in(**given))
    assert answer.status_code == 200
    return answer.json()


async def test_a_customer_sees_their_own_notifications_newest_first(shop):
    await shop.hear(order_confirmed(), order_rejected(), order_confirmed(customer_id=OTHER), stock_low())

    page = await the_list(shop)

    assert [one["template"] for one in page["data"]] == ["order_rejected", "order_confirmed"]
    assert page["has_more"] is False
    assert page["next_cursor"] is None


async def test_staff_see_everybodys_and_their_own(shop):
    await shop.hear(order_confirmed(), order_confirmed(customer_id=OTHER), stock_low())

    page = await the_list(shop, role=Role.STAFF)

    assert [one["template"] for one in page["data"]] == ["stock_low", "order_confirmed", "order_confirmed"]


async def test_a_notification_shows_its_state_but_not_where_it_went(shop):
    await shop.hear(order_confirmed())
    await sending.step(shop.parts)

    (one,) = (await the_list(shop))["data"]

    assert one == {
        "id": one["id"],
        "template": "order_confirmed",
        "channel": "email",
        "order_id": typeid("ord", ORDER),
        "status": "sent",
        "attempts": 1,
        "reason": None,
        "created_at": one["created_at"],
        "sent_at": one["sent_at"],
        "version": 3,
    }
    answer = await shop.http.get(f"/notifications/{one['id']}", headers=shop.signed_in())
    assert answer.json() == one


async def test_the_list_is_filtered_and_read_page_by_page(shop):
    orders = [OrderId(new_id()) for _ in range(5)]
    await shop.hear(*(order_confirmed(order_id=order) for order in orders))
    await sending.step(shop.parts)
    await shop.hear(order_rejected(order_id=orders[0]))

    sent = await the_list(shop, "?status=sent&limit=2")
    rest = await the_list(shop, f"?status=sent&limit=3&cursor={sent['next_cursor']}")
    of_one = await the_list(shop, f"?order_id={typeid('ord', orders[0])}")
    of_two = await the_list(shop, f"?status=queued&status=sent&order_id={typeid('ord', orders[0])}")
    before = await the_list(shop, "?created_before=2020-01-01T00:00:00Z")
    after = await the_list(shop, "?created_after=2020-01-01T00:00:00Z")

    seen = [one["order_id"] for one in sent["data"] + rest["data"]]
    assert seen == [typeid("ord", order) for order in reversed(orders)]
    assert (sent["has_more"], rest["has_more"]) == (True, False)
    assert [one["template"] for one in of_one["data"]] == ["order_rejected", "order_confirmed"]
    assert of_two == of_one
    assert (len(before["data"]), len(after["data"])) == (0, 6)


@pytest.mark.parametrize(
    "query", ["?status=lost", "?order_id=ord_1", "?cursor=bm8", "?cursor=WyJhIiwiYiJd", "?cursor=W10=", A_NAIVE_CURSOR]
)
async def test_a_list_that_cannot_be_meant_is_refused(shop, query):
    answer = await shop.http.get(f"/notifications{query}", headers=shop.signed_in())

    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


async def test_somebody_elses_notification_is_not_found(shop):
    await shop.hear(order_confirmed())
    (one,) = (await the_list(shop))["data"]

    answer = await shop.http.get(f"/notifications/{one['id']}", headers=shop.signed_in(user_id=OTHER))

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_nothing_is_shown_without_a_token(shop):
    answer = await shop.http.get("/notifications")

    assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")


async def test_staff_can_have_a_sent_mail_sent_again(shop, mails):
    await shop.hear(order_confirmed())
    await sending.step(shop.parts)
    (one,) = (await the_list(shop))["data"]

    answer = await shop.http.post(f"/notifications/{one['id']}/resend", headers=shop.signed_in(role=Role.STAFF))
    again = await shop.http.post(f"/notifications/{one['id']}/resend", headers=shop.signed_in(role=Role.STAFF))
    await sending.step(shop.parts)

    assert (answer.status_code, answer.json()["status"], answer.json()["attempts"]) == (202, "queued", 0)
    assert (again.status_code, again.json()["code"]) == (409, "notification_not_resendable")
    first, second = (mail["Message-ID"] for mail in mails.mails)
    assert second == first.replace("@", ".1@")


async def test_a_customer_cannot_have_a_mail_sent_again(shop):
    await shop.hear(order_confirmed())
    (one,) = (await the_list(shop))["data"]

    answer = await shop.http.post(f"/notifications/{one['id']}/resend", headers=shop.signed_in())

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_what_does_not_exist_cannot_be_sent_again(shop):
    path = f"/notifications/{typeid('ntf', new_id())}/resend"

    answer = await shop.http.post(path, headers=shop.signed_in(role=Role.STAFF))

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_customer_chooses_which_mails_to_get(shop, mails):
    headers = shop.signed_in()
    before = await shop.http.get("/notification-preferences", headers=headers)
    wish = {"opted_out": ["order_rejected", "order_confirmed", "order_confirmed"]}

    answer = await shop.http.put("/notification-preferences", headers=headers, json=wish)
    await shop.hear(order_confirmed())
    await sending.step(shop.parts)

    assert before.json() == {"opted_out": []}
    assert answer.json() == {"opted_out": ["order_confirmed", "order_rejected"]}
    assert (await shop.http.get("/notification-preferences", headers=headers)).json() == answer.json()
    assert mails.mails == []
    assert await shop.rows("status, reason") == [("suppressed", "opted_out")]

    await shop.http.put("/notification-preferences", headers=headers, json={"opted_out": []})
    await shop.hear(order_confirmed())
    await sending.step(shop.parts)
    assert len(mails.mails) == 1


@pytest.mark.parametrize(
    ("body", "code"), [({"opted_out": ["birthday"]}, "validation_failed"), ({"opted_out": [], "x": 1}, "unknown_field")]
)
async def test_preferences_that_nobody_knows_are_refused(shop, body, code):
    answer = await shop.http.put("/notification-preferences", headers=shop.signed_in(), json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert CUSTOMER not in await shop.sql("SELECT user_id FROM notification_service.notification_preferences")
