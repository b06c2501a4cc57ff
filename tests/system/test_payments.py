"""Cards that are declined, that break, that do not answer: charged exactly once, or not at all."""

import pytest

from tests.support.eventually import eventually
from tests.support.people import Person, a_key, uuid_of
from tests.support.running_shop import RunningShop


async def test_a_declined_order_is_paid_with_another_card(shop: RunningShop, customer: Person, sku: str):
    # given
    order = await customer.ordered(sku, token="tok_declined", wait=10)
    assert (order["status"], order["payment_status"]) == ("awaiting_payment", "failed")
    assert order["failure"]["code"] == "card_declined"

    # when
    paid_again = await customer.pay(order, "tok_ok")

    # then
    assert paid_again.status_code == 202
    after = await customer.reaches(order, status="confirmed", payment_status="paid")
    assert (after["attempt"], after["failure"]) == (2, None)
    assert await shop.charged(uuid_of(order)) == [1000]


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_expired_card", "expired_card"),
        ("tok_x", "method_invalid"),
    ],
)
async def test_a_decline_says_why(shop: RunningShop, customer: Person, sku: str, token: str, code: str):
    # when
    order = await customer.ordered(sku, token=token, wait=10)

    # then
    assert (order["status"], order["payment_status"], order["failure"]["code"]) == ("awaiting_payment", "failed", code)
    assert await shop.charged(uuid_of(order)) == []


async def test_the_third_decline_ends_the_order(shop: RunningShop, customer: Person, staff: Person, sku: str):
    # given
    order = await customer.ordered(sku, token="tok_declined", wait=10)
    (await customer.pay(order, "tok_declined")).raise_for_status()
    await customer.reaches(order, attempt=2, payment_status="failed")

    # when
    (await customer.pay(order, "tok_declined")).raise_for_status()

    # then
    after = await customer.reaches(order, status="cancelled")
    assert after["cancel_reason"] == "payment_failed"
    assert await staff.stock_of(sku) == (10, 0)
    assert await shop.charged(uuid_of(order)) == []


async def test_a_charge_whose_answer_is_lost_is_found_and_never_repeated(shop: RunningShop, customer: Person, sku: str):
    # when
    order = await customer.ordered(sku, token="tok_timeout")

    # then
    await eventually(lambda: _payment_is(customer, order, "unknown"))
    assert (await customer.seen(order))["status"] == "awaiting_payment"

    # and
    await customer.reaches(order, status="confirmed")
    assert await shop.charged(uuid_of(order)) == [1000]
    assert (await customer.seen(order))["attempt"] == 1


async def test_a_call_that_never_arrived_is_repeated_under_its_key(shop: RunningShop, customer: Person, sku: str):
    # when
    order = await customer.ordered(sku, token="tok_timeout_unpaid")

    # then
    await eventually(lambda: _payment_is(customer, order, "unknown"))
    await customer.reaches(order, status="confirmed")
    assert await shop.charged(uuid_of(order)) == [1000]


@pytest.mark.parametrize("token", ["tok_processing_error", "tok_duplicate_webhook", "tok_slow"])
async def test_an_awkward_card_is_charged_once(shop: RunningShop, customer: Person, sku: str, token: str):
    # when
    order = await customer.ordered(sku, token=token)

    # then
    await customer.reaches(order, status="confirmed", payment_status="paid")
    assert await shop.charged(uuid_of(order)) == [1000]


async def test_a_webhook_that_is_told_three_times_is_stored_once(shop: RunningShop, customer: Person, sku: str):
    # given
    order = await customer.ordered(sku, token="tok_duplicate_webhook", wait=10)

    # when
    await eventually(lambda: _told(shop, order, times=3))

    # then
    stored = await shop.rows("SELECT status FROM payment_service.webhook_events WHERE order_id = $1", uuid_of(order))
    assert len(stored) == 1
    assert (await customer.seen(order))["status"] == "confirmed"


async def test_an_order_without_a_method_is_paid_afterwards(shop: RunningShop, customer: Person, sku: str):
    # given
    order = await customer.ordered(sku, token=None)
    await eventually(lambda: _payment_is(customer, order, "requires_method"))

    # when
    created = await customer.post(
        "/payments", {"order_id": order["id"], "token": "tok_ok"}, **{"Idempotency-Key": a_key()}
    )

    # then
    assert created.status_code == 201
    await customer.reaches(order, status="confirmed", payment_status="paid")
    assert await shop.charged(uuid_of(order)) == [1000]

    # and
    again = await customer.post(
        "/payments", {"order_id": order["id"], "token": "tok_ok"}, **{"Idempotency-Key": a_key()}
    )
    assert (again.status_code, again.json()["code"]) == (409, "order_not_payable")


async def _payment_is(customer: Person, order: dict, status: str) -> bool:
    payment = await customer.payment_of(order)
    return payment is not None and payment["status"] == status


async def _told(shop: RunningShop, order: dict, times: int) -> bool:
    statement = "SELECT told FROM provider.notices WHERE body->'data'->>'order_id' = $1"
    return [row["told"] for row in await shop.rows(statement, str(uuid_of(order)))] == [times]
