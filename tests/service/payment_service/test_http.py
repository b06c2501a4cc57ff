"""payment_service over HTTP."""

import json
import time

import pytest

from chassis.ids import new_id, typeid
from payment_service import charging
from payment_service.cards import CARDS
from payment_service.signatures import headers
from tests.service.payment_service.conftest import at_work, comes_to
from tests.support.eventually import eventually


async def test_customers_see_their_own_payments_and_staff_sees_all(payments):
    customer = new_id()
    mine = await payments.asked(customer_id=customer)
    theirs = await payments.asked()
    payment = await payments.reaches(mine, "captured")
    other = await payments.reaches(theirs, "captured")

    listed = (await payments.call("GET", "/payments", user=customer)).json()["data"]
    everybodys = (await payments.staff("GET", "/payments?status=captured")).json()["data"]

    assert [row["id"] for row in listed] == [payment["id"]]
    assert [row["id"] for row in everybodys] == [other["id"], payment["id"]]
    shown = await payments.call("GET", f"/payments/{payment['id']}", user=customer)
    assert (shown.json(), shown.headers["etag"]) == (payment, f'"{payment["version"]}"')
    await payments.call("GET", f"/payments/{other['id']}", user=customer, status=404)
    await payments.call("GET", f"/payments/{other['id']}/refunds", user=customer, status=404)


async def test_lists_come_in_pages(payments):
    orders = [await payments.asked() for _ in range(3)]
    for order_id in orders:
        await payments.reaches(order_id, "captured")

    first = (await payments.staff("GET", "/payments?limit=2")).json()
    second = (await payments.staff("GET", f"/payments?limit=2&cursor={first['next_cursor']}")).json()
    none = (await payments.staff("GET", "/payments?created_after=2126-01-01T00:00:00Z")).json()
    all_ = (await payments.staff("GET", "/payments?created_before=2126-01-01T00:00:00Z")).json()

    seen = [row["order_id"] for row in first["data"] + second["data"]]
    assert seen == [typeid("ord", order_id) for order_id in reversed(orders)]
    assert (first["has_more"], second["has_more"], none["data"], len(all_["data"])) == (True, False, [], 3)


async def test_an_order_without_a_method_is_paid_once_whatever_is_repeated(payments):
    customer = new_id()
    order_id = await payments.asked(None, customer_id=customer)
    body = {"order_id": typeid("ord", order_id), "token": "tok_ok"}

    first = await payments.call("POST", "/payments", user=customer, json=body, key="k1", status=201)
    again = await payments.call("POST", "/payments", user=customer, json=body, key="k1", status=201)

    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert first.headers["location"] == f"/api/v1/payments/{first.json()['id']}"
    await payments.reaches(order_id, "captured")
    refused = await payments.call("POST", "/payments", user=customer, json=body, status=409)
    assert refused.json()["code"] == "order_not_payable"
    await payments.call("POST", "/payments", json=body, status=404)
    assert await payments.net(order_id) == 2598


@pytest.mark.parametrize("token", ["4242424242424242", "tok_4242424242424242", "tok_", "card"])
async def test_only_tokens_are_taken_and_a_card_number_is_not_repeated(payments, token):
    body = {"order_id": typeid("ord", new_id()), "token": token}

    refused = await payments.call("POST", "/payments", json=body, status=422)

    assert refused.json()["code"] == "validation_failed"
    assert "4242" not in refused.text


async def test_the_test_tokens_are_listed_for_everybody(payments):
    listed = (await payments.http.get("/api/v1/payments/test-tokens")).json()["data"]

    assert [row["token"] for row in listed] == list(CARDS)
    assert [row["outcome"] for row in listed][:2] == ["captured", "declined"]


def told(kind, key, order_id, amount=2598, code=None):
    data = {"key": key, "order_id": str(order_id), "reference": "ch_1", "code": code}
    data |= {"amount": amount, "currency": "EUR"}
    return json.dumps({"type": kind, "data": data}).encode()


async def send(payments, body, event_id="evt_1", shared="between us and the provider", provider="simulated", **more):
    signed = headers(shared, event_id, time.time(), body) | more
    url = f"/api/v1/payments/webhooks/{provider}"
    return await payments.http.post(url, content=body, headers={"content-type": "application/json", **signed})


async def test_a_webhook_with_a_wrong_signature_is_refused_and_not_stored(payments):
    body = told("charge.captured", "pay:x:1", new_id())

    forged = await send(payments, body, shared="guessed")
    old = {"webhook-timestamp": str(int(time.time()) - 301)}
    stale = await send(payments, body, **old)
    timeless = await send(payments, body, **{"webhook-timestamp": "now"})
    bare = await payments.http.post("/api/v1/payments/webhooks/simulated", json={})

    assert {answer.status_code for answer in (forged, stale, timeless, bare)} == {401}
    assert forged.json()["code"] == "signature_invalid"
    assert await payments.rows("SELECT * FROM payment_service.webhook_events") == []


async def test_a_webhook_of_an_unknown_provider_is_not_found(payments):
    assert (await send(payments, b"{}", provider="other")).status_code == 404


async def test_a_webhook_that_cannot_be_read_is_refused_and_one_that_says_nothing_is_taken(payments):
    unreadable = await send(payments, b"{}")
    silent = await send(payments, told("charge.thought_about", "pay:x:1", new_id()))

    assert (unreadable.status_code, unreadable.json()["code"]) == (422, "validation_failed")
    assert (silent.status_code, silent.json()) == (200, {"received": True})
    assert await payments.rows("SELECT * FROM payment_service.webhook_events") == []


async def test_a_webhook_of_what_no_text_can_hold_is_told_where(payments):
    broken = await send(payments, told("charge.declined", "pay:x:1", new_id(), code="card\0declined"))

    assert (broken.status_code, broken.json()["errors"][0]["pointer"]) == (422, "#/data/code")
    assert await payments.rows("SELECT * FROM payment_service.webhook_events") == []


async def test_a_webhook_ahead_of_its_payment_is_parked_and_applied_later(payments):
    order_id = new_id()
    await send(payments, told("charge.captured", "pay:x:1", order_id))

    async def stored():
        return await payments.rows("SELECT status FROM payment_service.webhook_events")

    await comes_to(stored, [("parked",)])
    await payments.asked(None, order_id=order_id)
    payment = await payments.of_order(order_id)
    [(payment_id,)] = await payments.rows("SELECT id FROM payment_service.payments")
    key = f"pay:{payment_id}:1"
    await payments.rows("UPDATE payment_service.webhook_events SET call_key = $1 RETURNING 1", key)
    assert payment["status"] == "requires_method"
    customer = (await payments.rows("SELECT customer_id FROM payment_service.payments"))[0][0]
    body = {"order_id": typeid("ord", order_id), "token": "tok_timeout_unpaid"}
    await payments.call("POST", "/payments", user=customer, json=body, status=201)
    await comes_to(stored, [("applied",)])
    await payments.reaches(order_id, "captured")


async def test_a_webhook_against_what_is_settled_is_kept_and_shown_to_staff(payments):
    customer = new_id()
    order_id = await payments.asked("tok_declined", customer_id=customer)
    payment = await payments.reaches(order_id, "failed")
    [(key,)] = await payments.rows("SELECT key FROM payment_service.payment_attempts")

    await send(payments, told("charge.captured", key, order_id))

    async def shown():
        answer = await payments.staff("GET", f"/payments/{payment['id']}")
        return [row["event_id"] for row in answer.json()["contradictions"]]

    await comes_to(shown, ["evt_1"])
    own = (await payments.call("GET", f"/payments/{payment['id']}", user=customer)).json()
    assert (own["contradictions"], own["status"]) == ([], "failed")


@pytest.mark.parametrize("amount", [1, None])
async def test_a_webhook_of_other_money_or_of_none_pays_no_order(payments, amount):
    payments.parts.own.provider.simulator.charge = lambda _asked: ()
    order_id = await payments.asked()
    [(key,)] = await payments.rows("SELECT key FROM payment_service.payment_attempts")

    await send(payments, told("charge.captured", key, order_id, amount))

    async def looked_at():
        return await payments.rows("SELECT amount, status FROM payment_service.webhook_events")

    await comes_to(looked_at, [(amount, "contradicts" if amount else "applied")])
    assert (await payments.of_order(order_id))["status"] == "processing"
    await send(payments, told("charge.captured", key, order_id), event_id="evt_2")
    await payments.reaches(order_id, "captured")


async def test_a_refused_reversal_is_settled_by_staff_only_as_the_books_have_it(payments):
    customer = new_id()
    order_id = await payments.asked("tok_refund_fails", customer_id=customer)
    await payments.reaches(order_id, "captured")
    await payments.give_back(order_id)

    async def told_so():
        return await payments.told(order_id)

    await comes_to(told_so, ["payment.succeeded", "payment.unresolved"])
    payment = await payments.of_order(order_id)
    assert (payment["status"], payment["unresolved"]) == ("reversing", True)
    url, body = f"/payments/{payment['id']}/resolve", {"outcome": "returned", "evidence": "their mail of today"}

    await payments.call("POST", url, user=customer, json=body, status=403)
    refused = await payments.staff("POST", url, json=body, status=409)
    assert refused.json()["code"] == "payment_not_resolvable"
    await payments.booked("UPDATE provider.refunds SET status = 'succeeded' RETURNING 1")
    staff = new_id()
    settled = await payments.staff("POST", url, json=body, user=staff, key="k1")
    again = await payments.staff("POST", url, json=body, user=staff, key="k1")

    assert (settled.json()["status"], again.json()) == ("reversed", settled.json())
    audit = await payments.rows("SELECT actor, outcome, evidence, books FROM payment_service.resolutions")
    assert audit == [(typeid("usr", staff), "returned", "their mail of today", "done")]
    assert await payments.told(order_id) == ["payment.succeeded", "payment.unresolved", "payment.cancelled"]


async def test_a_payment_without_a_doubt_is_not_settled_by_hand(payments):
    order_id = await payments.asked()
    payment = await payments.reaches(order_id, "captured")
    body = {"outcome": "captured", "evidence": "none"}

    refused = await payments.staff("POST", f"/payments/{payment['id']}/resolve", json=body, status=409)

    assert refused.json()["code"] == "payment_not_resolvable"
    await payments.staff("POST", f"/payments/{typeid('pay', new_id())}/resolve", json=body, status=404)


async def test_a_charge_in_doubt_is_settled_with_the_books(settings):
    async with at_work(settings, loops=False) as payments:
        order_id = await payments.asked("tok_timeout")

        async def is_booked() -> bool:
            """A call that was given up before the provider had it is made again."""
            await charging.step(payments.parts)
            return await payments.booked("UPDATE provider.charges SET visible_at = now() RETURNING 1") != []

        await eventually(is_booked)
        payment = await payments.reaches(order_id, "unknown")
        body = {"outcome": "captured", "evidence": "their statement"}

        await payments.staff("POST", f"/payments/{payment['id']}/resolve", json=body)

        assert (await payments.of_order(order_id))["status"] == "captured"
        assert await payments.told(order_id) == ["payment.succeeded"]


async def test_a_charge_in_doubt_is_not_declined_while_the_books_are_silent_and_lands_later(settings):
    async with at_work(settings, loops=False) as payments:
        order_id = await payments.asked("tok_timeout_unpaid")
        await charging.step(payments.parts)
        payment = await payments.reaches(order_id, "unknown")
        body = {"outcome": "declined", "evidence": "they say that they see nothing"}

        refused = await payments.staff("POST", f"/payments/{payment['id']}/resolve", json=body, status=409)

        assert refused.json()["code"] == "payment_not_resolvable"
        assert "The same key is repeated until the answer is definite: wait for it" in refused.json()["detail"]
        assert await payments.rows("SELECT * FROM payment_service.resolutions") == []

    async with at_work(settings) as payments:
        await payments.rows("UPDATE payment_service.payment_attempts SET due_at = now() RETURNING 1")
        await payments.reaches(order_id, "captured")
        assert await payments.told(order_id) == ["payment.succeeded"]
