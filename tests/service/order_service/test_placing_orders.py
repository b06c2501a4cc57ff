"""POST /orders: prices, idempotency, waiting, and everything that is refused."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from prometheus_client import REGISTRY

from contracts.types import order_number
from order_service import replica, routes
from tests.service.order_service.conftest import ADDRESS, BODY, LINES
from tests.support.eventually import eventually
from tests.support.order_service import TEA, declined, rejected, reserved, succeeded, upserted


async def test_an_order_is_answered_with_the_shops_prices_and_told(orders):
    response = await orders.call("POST", "/orders", json=BODY | {"note": "ring twice"}, status=201)

    order = response.json()
    (order_id,) = [row[0] for row in await orders.rows("SELECT id FROM order_service.orders")]
    assert response.headers["Location"] == f"/api/v1/orders/{order['id']}"
    assert response.headers["ETag"] == '"1"'
    assert (order["status"], order["payment_status"], order["fulfilment_status"]) == (
        "pending",
        "pending",
        "unfulfilled",
    )
    assert (order["number"], order["version"], order["note"]) == (order_number(order_id), 1, "ring twice")
    assert order["lines"][0] == {
        "line_no": 1,
        "sku": "MUG-RED",
        "name": "Mug-Red",
        "quantity": 2,
        "unit_price": {"amount": 1299, "currency": "EUR"},
        "total": {"amount": 2598, "currency": "EUR"},
    }
    assert order["total"] == {"amount": 3097, "currency": "EUR"}
    assert order["shipping_address"] == {**ADDRESS, "line2": None, "region": None}
    assert len(order["trace_id"]) == 32
    assert await orders.told() == ["order.created"]


async def test_the_same_request_again_gets_the_same_answer_and_no_second_order(orders):
    headers = {"Idempotency_Key": '"key-1"'}
    first = await orders.call("POST", "/orders", json=BODY, status=201, **headers)
    again = await orders.call("POST", "/orders", json=BODY, status=201, **headers)
    other = await orders.call("POST", "/orders", json=BODY | {"note": "x"}, status=422, **headers)

    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    assert "Idempotent-Replayed" not in first.headers
    assert other.json()["code"] == "idempotency_key_reused"
    assert await orders.rows("SELECT count(*) FROM order_service.orders") == [(1,)]


async def test_twins_at_once_make_one_order(orders):
    headers = {"Idempotency_Key": "twins"}

    answers = await asyncio.gather(*(orders.call("POST", "/orders", json=BODY, status=201, **headers) for _ in "12345"))

    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.headers.get("Idempotent-Replayed", "") for answer in answers) == ["", *["true"] * 4]
    assert await orders.told() == ["order.created"]


@pytest.mark.parametrize(
    ("change", "status", "code", "pointer"),
    [
        ({"lines": [{"sku": "VASE", "quantity": 1}]}, 422, "sku_unknown", "#/lines/0/sku"),
        ({"expected_total": {"amount": 3000, "currency": "EUR"}}, 409, "price_changed", "#/expected_total"),
        (
            {"expected_total": {"amount": 3097, "currency": "USD"}},
            422,
            "currency_mismatch",
            "#/expected_total/currency",
        ),
        ({"lines": []}, 422, "validation_failed", "#/lines"),
        ({"lines": [{"sku": "MUG-RED", "quantity": 0}]}, 422, "validation_failed", "#/lines/0/quantity"),
        ({"lines": [{"sku": "MUG-RED", "quantity": True}]}, 422, "validation_failed", "#/lines/0/quantity"),
        ({"lines": [{"sku": "mug", "quantity": 1}]}, 422, "validation_failed", "#/lines/0/sku"),
        ({"total": 1}, 422, "unknown_field", "#/total"),
        ({"payment": {"token": "4242424242424242"}}, 422, "validation_failed", "#/payment/token"),
        ({"payment": {"token": "card_4242424242424242"}}, 422, "validation_failed", "#/payment/token"),
        (
            {"shipping_address": {**ADDRESS, "country": "Germany"}},
            422,
            "validation_failed",
            "#/shipping_address/country",
        ),
        ({"note": "a\0b"}, 422, "validation_failed", "#/note"),
        ({"note": "a\u2066b"}, 422, "validation_failed", "#/note"),
        ({"shipping_address": {**ADDRESS, "line1": "a\nb"}}, 422, "validation_failed", "#/shipping_address/line1"),
        ({"shipping_address": {**ADDRESS, "name": "\u202ea"}}, 422, "validation_failed", "#/shipping_address/name"),
        ({"metadata": {str(n): "x" for n in range(21)}}, 422, "validation_failed", "#/metadata"),
    ],
)
async def test_a_wrong_order_is_refused_with_the_place_and_nothing_is_kept(orders, change, status, code, pointer):
    response = await orders.call("POST", "/orders", json=BODY | change, status=status)

    problem = response.json()
    assert (problem["code"], problem["errors"][0]["pointer"]) == (code, pointer)
    assert response.headers["content-type"] == "application/problem+json"
    assert await orders.rows("SELECT count(*) FROM order_service.orders") == [(0,)]
    assert await orders.told() == []


async def test_the_new_total_is_named_when_the_price_has_changed(orders):
    changed = {"expected_total": {"amount": 3000, "currency": "EUR"}}

    response = await orders.call("POST", "/orders", json=BODY | changed, status=409)

    assert response.json()["errors"][0]["detail"] == "3097 EUR"


async def test_one_bad_order_takes_none_of_its_neighbours_along(orders):
    bad = BODY | {"lines": [{"sku": "VASE", "quantity": 1}]}

    answers = await asyncio.gather(
        *(orders.http.post("/api/v1/orders", json=body, headers=orders.headers()) for body in [BODY, bad] * 5)
    )

    assert [answer.status_code for answer in answers] == [201, 422] * 5


async def test_an_order_costs_the_newest_price_that_was_told(orders):
    await orders.hear(upserted(TEA, price=799, version=3))
    await orders.hear(upserted(TEA, price=599, version=2))

    response = await orders.call("POST", "/orders", json=BODY, status=201)

    assert response.json()["total"]["amount"] == 2598 + 799


async def test_the_replica_counts_the_versions_that_it_knows_of(orders):
    await orders.hear(upserted(TEA, version=5))
    await orders.hear(upserted(TEA, version=4))

    assert await replica.measure(orders.parts) is False

    counted = REGISTRY.get_sample_value("ordermill_catalogue_versions", {"service": "order_service"})
    assert counted == 6


async def test_an_archived_product_cannot_be_ordered(orders):
    await orders.hear(upserted(TEA, active=False, version=2))

    response = await orders.call("POST", "/orders", json=BODY, status=422)

    assert response.json()["errors"] == [
        {"pointer": "#/lines/1/sku", "code": "sku_unknown", "detail": "TEA-GREEN is not for sale"}
    ]


async def test_products_in_two_currencies_make_no_order(orders):
    await orders.hear(upserted(TEA, price=499, currency="USD", version=2))

    response = await orders.call("POST", "/orders", json=BODY, status=422)

    assert response.json()["code"] == "currency_mismatch"


async def test_without_a_key_or_a_token_nothing_is_ordered(orders):
    headers = orders.headers()
    key = headers.pop("Idempotency-Key")

    no_key = await orders.http.post("/api/v1/orders", json=BODY, headers=headers)
    no_token = await orders.http.post("/api/v1/orders", json=BODY, headers={"Idempotency-Key": key})

    assert (no_key.status_code, no_key.json()["code"]) == (400, "idempotency_key_missing")
    assert (no_token.status_code, no_token.json()["code"]) == (401, "token_missing")


async def _placed(orders):
    async def is_there():
        return bool(await orders.rows("SELECT id FROM order_service.orders"))

    await eventually(is_there)
    ((order_id,),) = await orders.rows("SELECT id FROM order_service.orders")
    return order_id


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([reserved, succeeded], "confirmed"),
        ([rejected], "rejected"),
        ([reserved, declined], "awaiting_payment"),
    ],
)
async def test_prefer_wait_answers_with_the_state_that_was_reached(orders, facts, status):
    waiting = asyncio.create_task(orders.call("POST", "/orders", json=BODY, status=201, Prefer="wait=20"))
    order_id = await _placed(orders)
    for fact in facts:
        await orders.hear(fact(order_id=order_id))

    response = await asyncio.wait_for(waiting, 10)

    assert (response.json()["status"], response.headers["Preference-Applied"]) == (status, "wait=20")
    assert response.headers["ETag"] == f'"{len(facts) + 1}"'


async def test_prefer_wait_gives_up_after_its_time_and_waits_on_a_replay_too(orders):
    headers = {"Prefer": "respond-async, wait=1", "Idempotency_Key": "key-1"}
    first = await orders.call("POST", "/orders", json=BODY, status=201, **headers)
    await orders.hear(rejected(order_id=await _placed(orders)))

    again = await orders.call("POST", "/orders", json=BODY, status=201, **headers)
    without = await orders.call("POST", "/orders", json=BODY, status=201, Idempotency_Key="key-1")

    assert (first.json()["status"], first.headers["Preference-Applied"]) == ("pending", "wait=1")
    assert (again.json()["status"], again.headers["Idempotent-Replayed"]) == ("rejected", "true")
    assert (without.json()["status"], "Preference-Applied" in without.headers) == ("pending", False)


async def test_a_quote_needs_no_token_and_says_what_is_available(orders):
    response = await orders.http.post("/api/v1/quotes", json={"lines": LINES})

    quote = response.json()
    assert (response.status_code, quote["total"]) == (200, {"amount": 3097, "currency": "EUR"})
    assert [(line["sku"], line["total"]["amount"], line["available"]) for line in quote["lines"]] == [
        ("MUG-RED", 2598, 7),
        ("TEA-GREEN", 499, 0),
    ]
    unknown = await orders.http.post("/api/v1/quotes", json={"lines": [{"sku": "VASE", "quantity": 1}]})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "sku_unknown")
    assert await orders.told() == []


async def test_an_order_stands_when_the_database_goes_away_while_its_caller_waits(orders):
    waiting = asyncio.create_task(orders.call("POST", "/orders", json=BODY, status=201, Prefer="wait=20"))
    await _placed(orders)
    await orders.parts.database.close()

    response = await asyncio.wait_for(waiting, 10)

    assert (response.json()["status"], "Preference-Applied" in response.headers) == ("pending", False)


async def test_orders_of_many_lines_wait_for_their_places_turn_and_others_do_not(orders, monkeypatch):
    monkeypatch.setattr(routes, "FEW_LINES", 1)
    line = orders.parts.own.large
    async with AsyncExitStack() as stack:
        while line._free:
            await stack.enter_async_context(line.turn("elsewhere"))
        large = asyncio.create_task(orders.call("POST", "/orders", json=BODY, status=201))
        await eventually(lambda: line._waiting)

        small = await orders.call("POST", "/orders", json=BODY | {"lines": LINES[:1]}, status=201)

        assert len(small.json()["lines"]) == 1
        assert not large.done()
    assert len((await large).json()["lines"]) == 2
