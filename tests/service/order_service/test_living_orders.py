"""Reading, following, cancelling, paying and refunding orders over HTTP, on rows that keep what they promise."""

import asyncio
import json
import time
from datetime import timedelta

import asyncpg
import pytest

from chassis.ids import new_id, typeid
from chassis.items import Unavailable
from chassis.revocations import Revocations
from chassis.tokens import Role
from contracts.accounts import UserErased
from order_service import deadlines, erasing, store
from tests.service.order_service.conftest import BODY
from tests.support.eventually import eventually
from tests.support.order_service import (
    MUG,
    declined,
    delivered,
    dispatched,
    euro,
    goods_back,
    refunded,
    rejected,
    released,
    reserved,
    returned,
    succeeded,
)


def ref(order_id) -> str:
    return typeid("ord", order_id)


async def a_confirmed_one(orders):
    order_id = await orders.place()
    await orders.hear(reserved(order_id=order_id))
    await orders.hear(succeeded(order_id=order_id))
    return order_id


async def test_an_order_that_is_known_is_not_sent_again(orders):
    path = f"/orders/{ref(await orders.place())}"
    first = await orders.call("GET", path)

    for known in ('"1"', 'W/"1"', '"7", "1"', "*"):
        same = await orders.call("GET", path, status=304, If_None_Match=known)
        assert (same.content, same.headers["ETag"]) == (b"", '"1"')
    changed = await orders.call("GET", path, If_None_Match='"7"')

    assert changed.json() == first.json()


async def test_orders_of_others_are_not_there(orders):
    path = f"/orders/{ref(await orders.place())}"

    for method, suffix in (("GET", ""), ("POST", "/cancel"), ("GET", "/events"), ("GET", "/stream")):
        other = await orders.call(method, path + suffix, customer=new_id(), status=404)
        assert other.json()["code"] == "not_found"
    paid = await orders.call("POST", path + "/payments", customer=new_id(), json={"token": "tok_ok"}, status=404)
    assert paid.json()["code"] == "not_found"
    assert (await orders.call("GET", path, role=Role.STAFF)).json()["status"] == "pending"


async def test_a_list_holds_ones_own_orders_newest_first_page_by_page(orders):
    mine = [ref(await orders.place()) for _ in range(3)]
    theirs = ref(await orders.place(customer=new_id()))
    first = (await orders.call("GET", "/orders?limit=2")).json()
    second = (await orders.call("GET", f"/orders?limit=2&cursor={first['next_cursor']}")).json()
    everybodys = (await orders.call("GET", "/orders", role=Role.STAFF)).json()

    assert [order["id"] for order in first["data"] + second["data"]] == mine[::-1]
    assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)
    assert [order["id"] for order in everybodys["data"]] == [theirs, *mine[::-1]]


async def test_a_list_is_narrowed_by_status_customer_and_time(orders):
    rejected_one, pending = await orders.place(), await orders.place()
    other = new_id()
    others = await orders.place(customer=other)
    await orders.hear(rejected(order_id=rejected_one))
    created_at = (await orders.call("GET", f"/orders/{ref(pending)}")).json()["created_at"]
    me, them = typeid("usr", orders.customer), typeid("usr", other)

    async def ids(query, role=Role.CUSTOMER):
        return [each["id"] for each in (await orders.call("GET", f"/orders?{query}", role=role)).json()["data"]]

    assert await ids("status=rejected") == [ref(rejected_one)]
    assert await ids("status=rejected&status=pending") == [ref(pending), ref(rejected_one)]
    assert await ids(f"customer_id={me}&status=pending") == [ref(pending)]
    assert await ids(f"customer_id={them}") == []
    assert await ids(f"customer_id={them}", Role.STAFF) == [ref(others)]
    assert len(await ids(f"customer_id={them}&customer_id={me}", Role.STAFF)) == 3
    assert await ids("created_after=2100-01-01T00:00:00Z") == []
    assert len(await ids("created_before=2100-01-01T00:00:00Z")) == 2
    assert await ids(f"created_before={created_at}".replace("+", "%2B")) == [ref(rejected_one)]


async def test_a_cursor_that_was_made_up_is_refused(orders):
    for path in ("/orders?cursor=WzFd", f"/orders/{ref(await orders.place())}/events?cursor=WyJ4Il0="):
        assert (await orders.call("GET", path, status=400)).json()["code"] == "cursor_invalid"


async def test_a_cancellation_is_accepted_again_and_again_and_told_once(orders):
    path = f"/orders/{ref(await orders.place())}/cancel"

    first = await orders.call("POST", path, status=202)
    again = await orders.call("POST", path, status=202, role=Role.STAFF)

    assert (first.json()["status"], first.json()["cancel_reason"]) == ("cancelling", "customer")
    assert first.headers["ETag"] == '"2"'
    assert again.json() == first.json()
    assert await orders.told() == ["order.created", "order.cancellation_requested"]


@pytest.mark.parametrize(
    ("role", "reason", "kept"),
    [(Role.CUSTOMER, "customer", "customer"), (Role.STAFF, "customer", "customer"), (Role.STAFF, None, "operator")],
)
async def test_a_cancellation_may_say_whose_wish_it_is(orders, role, reason, kept):
    path = f"/orders/{ref(await orders.place())}/cancel"

    cancelled = await orders.call("POST", path, status=202, role=role, json={"reason": reason})

    assert cancelled.json()["cancel_reason"] == kept


@pytest.mark.parametrize(
    ("body", "status", "code", "detail"),
    [
        ({"reason": "bored"}, 422, "validation_failed", "reason: must be customer or operator"),
        ({"reason": "deadline"}, 422, "validation_failed", "reason: must be customer or operator"),
        ({"why": "bored"}, 422, "unknown_field", "why: is unknown"),
        ({"reason": "operator"}, 403, "forbidden", "Only staff cancel as operator."),
    ],
)
async def test_a_reason_that_is_none_or_not_theirs_cancels_nothing(orders, body, status, code, detail):
    path = f"/orders/{ref(await orders.place())}/cancel"

    refused = (await orders.call("POST", path, status=status, json=body)).json()

    assert (refused["code"], refused["detail"]) == (code, detail)
    assert await orders.told() == ["order.created"]


async def test_a_method_that_a_path_does_not_have_is_told_those_it_has(orders):
    refused = await orders.http.patch("/api/v1/orders", json={})

    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, POST")
    assert refused.json()["detail"] == "This path takes GET, POST."


async def test_what_has_left_the_warehouse_cannot_be_cancelled(orders):
    order_id = await a_confirmed_one(orders)
    await orders.hear(dispatched(order_id=order_id))

    response = await orders.call("POST", f"/orders/{ref(order_id)}/cancel", status=409, role=Role.STAFF)

    assert response.json()["code"] == "order_not_cancellable"


async def test_a_cancelled_order_proves_that_stock_and_money_are_back(orders):
    order_id = await a_confirmed_one(orders)
    await orders.call("POST", f"/orders/{ref(order_id)}/cancel", status=202, role=Role.ADMIN)
    await orders.hear(released(order_id=order_id))
    await orders.hear(returned(order_id=order_id, returned=euro(3097)))

    order = (await orders.call("GET", f"/orders/{ref(order_id)}")).json()

    assert (order["status"], order["payment_status"], order["cancel_reason"]) == ("cancelled", "refunded", "operator")
    assert (order["refunded_total"]["amount"], order["version"]) == (3097, 6)
    assert (await orders.told())[-2:] == ["order.refund_requested", "order.cancelled"]


async def test_after_a_decline_another_card_may_be_tried_once(orders):
    order_id = await orders.place()
    path = f"/orders/{ref(order_id)}/payments"
    early = await orders.call("POST", path, json={"token": "tok_ok"}, status=409)
    await orders.hear(reserved(order_id=order_id))
    await orders.hear(declined(order_id=order_id))
    failed = (await orders.call("GET", f"/orders/{ref(order_id)}")).json()

    paid = await orders.call("POST", path, json={"token": "tok_ok"}, status=202, Idempotency_Key="pay")
    again = await orders.call("POST", path, json={"token": "tok_ok"}, status=202, Idempotency_Key="pay")

    assert early.json()["code"] == "order_not_payable"
    assert (failed["payment_status"], failed["failure"]["code"]) == ("failed", "card_declined")
    assert (paid.json()["attempt"], paid.json()["payment_status"], paid.json()["failure"]) == (2, "pending", None)
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (paid.json(), "true")
    assert (await orders.told()).count("order.payment_requested") == 2


async def test_staff_may_give_back_up_to_what_was_paid(orders):
    order_id = await a_confirmed_one(orders)
    path = f"/orders/{ref(order_id)}/refunds"
    body = {"amount": {"amount": 1000, "currency": "EUR"}, "reason": "a scratch"}

    theirs = await orders.call("POST", path, json=body, status=403)
    given = await orders.call("POST", path, json=body, status=202, role=Role.STAFF)
    too_much = body | {"amount": {"amount": 2098, "currency": "EUR"}}
    more = await orders.call("POST", path, json=too_much, status=409, role=Role.STAFF)
    foreign = body | {"amount": {"amount": 1, "currency": "USD"}}
    dollars = await orders.call("POST", path, json=foreign, status=422, role=Role.STAFF)
    await orders.hear(refunded(order_id=order_id, refund_id=(await _refunds(orders, order_id))[0]["id"]))
    order = (await orders.call("GET", f"/orders/{ref(order_id)}")).json()

    assert (theirs.json()["code"], theirs.json()["detail"]) == ("forbidden", "Only staff or admin may do this.")
    assert (given.json()["status"], given.json()["reason"], given.json()["note"]) == (
        "requested",
        "goodwill",
        "a scratch",
    )
    assert given.json()["id"].startswith("rfd_")
    assert (more.json()["code"], dollars.json()["code"]) == ("refund_exceeds_paid", "currency_mismatch")
    assert (order["payment_status"], order["refunded_total"]["amount"]) == ("partially_refunded", 1000)


async def _refunds(orders, order_id):
    return (await orders.rows("SELECT refunds FROM order_service.orders WHERE id = $1", order_id))[0][0]


async def test_shipments_and_returns_survive_the_database(orders):
    order_id = await a_confirmed_one(orders)
    await orders.hear(delivered(order_id=order_id))
    await orders.hear(goods_back((MUG, 1), order_id=order_id))

    order = (await orders.call("GET", f"/orders/{ref(order_id)}")).json()

    (shipment,) = order["shipments"]
    assert (order["status"], order["fulfilment_status"]) == ("delivered", "delivered")
    assert (shipment["tracking_number"], shipment["lines"][0]) == ("JD01", {"sku": "MUG-RED", "quantity": 2})
    assert (await _refunds(orders, order_id))[0]["amount"] == 1299


async def test_the_history_holds_every_version_with_who_and_why(orders):
    order_id = await a_confirmed_one(orders)
    path = f"/orders/{ref(order_id)}/events"

    entries = (await orders.call("GET", path)).json()["data"]
    first = (await orders.call("GET", f"{path}?limit=2")).json()
    rest = (await orders.call("GET", f"{path}?limit=2&cursor={first['next_cursor']}")).json()

    assert [(e["version"], e["from"], e["to"], e["cause"], e["payment_status"]) for e in entries] == [
        (1, None, "pending", "place_order", "pending"),
        (2, "pending", "awaiting_payment", "stock.reserved", "pending"),
        (3, "awaiting_payment", "confirmed", "payment.succeeded", "paid"),
    ]
    assert [entry["actor"] for entry in entries[:2]] == [typeid("usr", orders.customer), "inventory_service"]
    assert (first["data"] + rest["data"], first["has_more"], rest["has_more"]) == (entries, True, False)


async def test_a_stream_tells_each_step_and_ends_with_the_last(orders):
    order_id = await orders.place()
    path = f"/api/v1/orders/{ref(order_id)}/stream"
    following = asyncio.create_task(orders.http.get(path, headers=orders.headers()))
    await asyncio.sleep(0)
    await orders.hear(reserved(order_id=order_id))
    await orders.hear(succeeded(order_id=order_id))
    await orders.hear(delivered(order_id=order_id))

    stream = await asyncio.wait_for(following, 10)
    resumed = await orders.http.get(path, headers=orders.headers(**{"Last-Event-ID": "3"}))
    ended = await orders.http.get(path, headers=orders.headers(**{"Last-Event-ID": "4"}))

    assert stream.headers["content-type"].startswith("text/event-stream")
    assert _events(stream.text) == [
        ("1", "pending"),
        ("2", "awaiting_payment"),
        ("3", "confirmed"),
        ("4", "delivered"),
    ]
    assert _events(resumed.text) == [("4", "delivered")]
    assert _events(ended.text) == []


async def test_a_stream_tells_nothing_more_to_a_session_that_has_ended(orders, monkeypatch):
    order_id, ended = await orders.place(), []

    async def fetch_ended():
        return ended

    revocations = Revocations(fetch_ended, lambda _ids: None)
    monkeypatch.setattr(orders.parts.verifier, "revocations", revocations)
    path = f"/api/v1/orders/{ref(order_id)}/stream"
    following = asyncio.create_task(orders.http.get(path, headers=orders.headers()))
    await eventually(lambda: bool(orders.parts.watch._waiting))
    ended += [caller.session_id for caller in orders.parts.verifier._checked.values()]
    await revocations.read()
    await orders.hear(reserved(order_id=order_id))

    stream = await asyncio.wait_for(following, 10)

    assert _events(stream.text) in ([("1", "pending")], [])


async def test_a_stream_tells_nothing_more_once_its_token_has_expired(orders, monkeypatch):
    order_id = await orders.place()
    path = f"/api/v1/orders/{ref(order_id)}/stream"
    following = asyncio.create_task(orders.http.get(path, headers=orders.headers()))
    await eventually(lambda: bool(orders.parts.watch._waiting))
    monkeypatch.setattr("order_service.following.time", TenMinutesLater)
    await orders.hear(reserved(order_id=order_id))

    stream = await asyncio.wait_for(following, 10)

    assert _events(stream.text) in ([("1", "pending")], [])


class TenMinutesLater:
    monotonic = time.monotonic

    @staticmethod
    def time():
        return time.time() + 601


async def test_a_stream_ends_when_the_database_goes_away_so_that_its_client_comes_again(orders):
    path = f"/api/v1/orders/{ref(await orders.place())}/stream"
    following = asyncio.create_task(orders.http.get(path, headers=orders.headers()))
    await eventually(lambda: bool(orders.parts.watch._waiting))
    await orders.parts.database.close()

    stream = await asyncio.wait_for(following, 10)

    assert _events(stream.text) in ([("1", "pending")], [])


def _events(text: str) -> list[tuple[str, str]]:
    blocks = [
        dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n") if "id: " in block
    ]
    assert all(block["event"] == "order" for block in blocks)
    return [(block["id"], json.loads(block["data"])["to"]) for block in blocks]


async def test_what_waits_for_its_customer_too_long_expires_and_nothing_else(orders):
    waiting, working = await orders.place(payment=None), await orders.place()
    for order_id in (waiting, working):
        await orders.hear(reserved(order_id=order_id))
    await orders.rows("UPDATE order_service.orders SET pay_by = pay_by - interval '1 hour'")
    await orders.rows("UPDATE order_service.orders SET due_at = pay_by WHERE due_at <> settle_by")

    more = await deadlines.step(orders.parts)

    rows = await orders.rows("SELECT id, status, cancel_reason, due_at IS NULL FROM order_service.orders ORDER BY id")
    assert rows == [(waiting, "cancelling", "deadline", True), (working, "awaiting_payment", None, False)]
    assert more is False
    assert (await orders.told()).count("order.cancellation_requested") == 1


async def test_what_could_not_expire_now_is_said_and_expires_later(orders):
    await orders.place()
    await orders.rows("UPDATE order_service.orders SET settle_by = now(), due_at = now()")
    orders.parts.pipeline._resume_at = float("inf")

    with pytest.raises(Unavailable):
        await deadlines.step(orders.parts)
    orders.parts.pipeline._resume_at = 0.0
    await deadlines.step(orders.parts)

    assert await orders.rows("SELECT status FROM order_service.orders") == [("cancelling",)]


async def test_many_orders_past_settle_by_end_together(orders):
    for _ in range(3):
        await orders.place()
    await orders.rows("UPDATE order_service.orders SET settle_by = now(), due_at = now()")

    await deadlines.step(orders.parts)

    assert await orders.rows("SELECT DISTINCT status FROM order_service.orders") == [("cancelling",)]


async def erase(orders):
    """Until nothing is left; how many steps it took."""
    await orders.hear(UserErased(user_id=orders.customer, locale="en"))
    steps = 1
    while await erasing.step(orders.parts):
        steps += 1
    return steps


@pytest.mark.parametrize(("at_once", "steps"), [(100, 3), (1, 4)])
async def test_an_erased_customers_address_is_gone_from_every_order(orders, monkeypatch, at_once, steps):
    monkeypatch.setattr(store, "ORDERS_AT_ONCE", at_once)
    other = new_id()
    for customer in (orders.customer, orders.customer, other):
        await orders.place(customer=customer, note="ring twice", metadata={"gift": "Bo"})

    assert await erase(orders) == steps
    assert await erase(orders) == steps

    rows = await orders.rows(
        "SELECT shipping_address->>'name', note, metadata, version FROM order_service.orders WHERE customer_id = $1",
        orders.customer,
    )
    assert rows == [("erased", None, {}, 2)] * 2
    assert await orders.rows("SELECT note FROM order_service.orders WHERE customer_id = $1", other) == [("ring twice",)]
    assert await orders.rows("SELECT count(*) FROM order_service.erasures") == [(0,)]


async def test_an_erasure_outlasts_the_process_that_begins_it(orders, monkeypatch):
    monkeypatch.setattr(store, "ORDERS_AT_ONCE", 1)
    for _ in range(3):
        await orders.place(note="ring twice")
    await orders.hear(UserErased(user_id=orders.customer, locale="en"))
    await erasing.step(orders.parts)

    notes = "SELECT count(*) FROM order_service.orders WHERE note IS NOT NULL"
    assert await orders.rows(notes) == [(2,)]
    await orders.hear(UserErased(user_id=orders.customer, locale="en"))
    await asyncio.gather(*(erasing.step(orders.parts) for _ in range(3)))
    assert await orders.rows(notes) != [(0,)]
    while await erasing.step(orders.parts):
        pass

    assert await orders.rows(notes) == [(0,)]


async def test_answers_are_overwritten_some_at_a_time(orders, monkeypatch):
    monkeypatch.setattr(store, "ANSWERS_AT_ONCE", 1)
    for _ in range(3):
        await orders.place(note="ring twice")

    assert await erase(orders) == 5

    kept = (
        "SELECT count(*) FROM order_service.idempotency WHERE position('ring twice' IN convert_from(body, 'UTF8')) > 0"
    )
    assert await orders.rows(kept) == [(0,)]


async def test_what_was_answered_to_an_erased_customer_says_no_address_any_more(orders):
    other = new_id()
    mine = str(new_id())
    placed = await orders.call("POST", "/orders", json=BODY | {"note": "ring twice"}, status=201, Idempotency_Key=mine)
    await orders.place(customer=other)
    order_id = await orders.place()
    await orders.hear(reserved(order_id=order_id))
    await orders.hear(declined(order_id=order_id))
    await orders.call(
        "POST", f"/orders/{ref(order_id)}/payments", json={"token": "tok_ok"}, status=202, role=Role.STAFF,
        Idempotency_Key=str(new_id()),
    )  # fmt: skip

    await erase(orders)

    stored = await orders.rows(
        "SELECT user_id, key, convert_from(body, 'UTF8')::jsonb, fingerprint FROM order_service.idempotency"
    )
    erased = {"name": "erased", "line1": "erased", "line2": None, "city": "erased", "region": None}
    for user_id, key, body, fingerprint in stored:
        if user_id == other:
            assert (body["shipping_address"]["name"], len(fingerprint)) == ("Ada", 32)
        else:
            assert body["shipping_address"] == erased | {"postal_code": "erased", "country": "DE"}
            assert (body["note"], body["metadata"], fingerprint) == (None, {}, b"")
        if key == mine:
            kept = {"shipping_address", "note", "metadata"}
            assert {k: v for k, v in body.items() if k not in kept} == {
                k: v for k, v in placed.json().items() if k not in kept
            }
    assert len(stored) == 4
    again = await orders.call("POST", "/orders", json=BODY | {"note": "ring twice"}, status=422, Idempotency_Key=mine)
    assert again.json()["code"] == "idempotency_key_reused"


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        ("total = total + 1", "total_adds_up"),
        ("refunded_total = total + 1", "refunds_are_within_the_total"),
        ("status = 'lost', due_at = NULL", "status_is_known"),
        ("attempt = 4", "attempts_are_few"),
        ("status = 'confirmed', due_at = NULL", "confirmed_before_shipped"),
        (
            (
                "status = 'cancelled', cancelled_at = now(), due_at = NULL,"
                " cancel_phase = 'pre', cancel_reason = 'customer'"
            ),
            "cancelled_when_settled",
        ),
        ("due_at = NULL", "open_ones_are_due"),
    ],
)
async def test_the_database_refuses_what_breaks_a_promise(orders, change, promise):
    await orders.place()

    with pytest.raises(asyncpg.CheckViolationError, match=f"orders_{promise}"):
        await orders.rows(f"UPDATE order_service.orders SET {change}")  # noqa: S608 -- our own words


async def test_a_version_of_an_order_has_one_entry_in_its_history(orders):
    await orders.place()

    with pytest.raises(asyncpg.UniqueViolationError):
        await orders.rows("INSERT INTO order_service.order_history SELECT * FROM order_service.order_history")


async def test_facts_of_many_orders_in_one_parcel_move_each(orders):
    ids = [await orders.place() for _ in range(20)]

    await orders.hear(*(reserved(order_id=order_id) for order_id in ids))

    rows = await orders.rows("SELECT status, version, pay_by - updated_at FROM order_service.orders")
    assert rows == [("awaiting_payment", 2, timedelta(minutes=30))] * 20
    assert await orders.rows("SELECT count(*) FROM order_service.order_history") == [(40,)]


async def test_nobody_has_seen_a_version_that_cannot_be(orders):
    order = await orders.place()
    path = f"/api/v1/orders/{typeid('ord', order)}/stream"

    answer = await orders.http.get(path, headers=orders.headers(**{"Last-Event-ID": str(2**31)}))

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "header:last-event-id")
