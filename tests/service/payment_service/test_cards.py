"""Every test token, from the request for a payment to the provider's books."""

import pytest

from tests.service.payment_service.conftest import comes_to


async def test_a_card_that_is_good_is_charged_once(payments):
    order_id = await payments.asked("tok_ok")

    payment = await payments.reaches(order_id, "captured")

    assert payment["captured_total"] == {"amount": 2598, "currency": "EUR"}
    assert payment["provider_reference"].startswith("ch_")
    assert (await payments.net(order_id), await payments.charges(order_id)) == (2598, 1)
    assert await payments.told(order_id) == ["payment.succeeded"]


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_expired_card", "expired_card"),
        ("tok_never_heard_of", "method_invalid"),
    ],
)
async def test_a_card_that_is_declined_says_why(payments, token, code):
    order_id = await payments.asked(token)

    payment = await payments.reaches(order_id, "failed")

    assert payment["failure"]["code"] == code
    assert (await payments.net(order_id), await payments.told(order_id)) == (0, ["payment.failed"])


async def test_after_a_decline_another_card_is_charged(payments):
    order_id = await payments.asked("tok_declined")
    await payments.reaches(order_id, "failed")

    await payments.asked("tok_ok", attempt=2, order_id=order_id)

    payment = await payments.reaches(order_id, "captured")
    assert [attempt["status"] for attempt in payment["attempts"]] == ["failed", "succeeded"]
    assert await payments.net(order_id) == 2598


async def test_an_error_of_the_provider_is_no_decline(payments):
    order_id = await payments.asked("tok_processing_error")

    payment = await payments.reaches(order_id, "captured")

    assert payment["attempts"][0]["tries"] == 2
    assert await payments.told(order_id) == ["payment.succeeded"]


async def test_a_charge_without_an_answer_is_unknown_and_then_found_paid(payments):
    order_id = await payments.asked("tok_timeout")

    await payments.reaches(order_id, "unknown")
    payment = await payments.reaches(order_id, "captured")

    assert (await payments.net(order_id), await payments.charges(order_id)) == (2598, 1)
    assert len(payment["attempts"]) == 1
    assert await payments.told(order_id) == ["payment.succeeded"]


async def test_a_charge_that_never_arrived_is_repeated_under_its_key(payments):
    order_id = await payments.asked("tok_timeout_unpaid")

    await payments.reaches(order_id, "unknown")
    nothing_yet = await payments.charges(order_id)
    await payments.reaches(order_id, "captured")

    assert (nothing_yet, await payments.net(order_id)) == (0, 2598)
    assert await payments.booked("SELECT count FROM provider.calls") == [(2,)]


async def test_a_webhook_that_comes_three_times_charges_and_tells_once(payments):
    order_id = await payments.asked("tok_duplicate_webhook")
    await payments.reaches(order_id, "captured")

    async def times_told():
        return await payments.booked("SELECT told, times FROM provider.notices")

    async def stored():
        return await payments.rows("SELECT status, order_id FROM payment_service.webhook_events")

    await comes_to(times_told, [(3, 3)])
    await comes_to(stored, [("applied", order_id)])
    assert (await payments.net(order_id), await payments.told(order_id)) == (2598, ["payment.succeeded"])


async def test_a_refund_that_is_refused_is_told_and_what_it_reserved_is_free(payments):
    order_id = await payments.asked("tok_refund_fails")
    await payments.reaches(order_id, "captured")

    await payments.give_back(order_id, 500)

    async def told():
        return await payments.told(order_id)

    await comes_to(told, ["payment.succeeded", "refund.failed"])
    assert await payments.net(order_id) == 2598
    assert await payments.rows("SELECT refund_reserved, refunded FROM payment_service.payments") == [(0, 0)]


async def test_a_cancellation_while_a_slow_card_is_charged_gives_everything_back(payments):
    order_id = await payments.asked("tok_slow")
    await payments.cancelled(order_id)

    payment = await payments.reaches(order_id, "reversed")

    assert payment["refunded_total"] == {"amount": 2598, "currency": "EUR"}
    assert (await payments.net(order_id), await payments.told(order_id)) == (0, ["payment.cancelled"])


async def test_parts_go_back_and_the_rest_with_the_order(payments):
    order_id = await payments.asked()
    await payments.reaches(order_id, "captured")

    refund_id = await payments.give_back(order_id, 500)
    await payments.give_back(order_id)
    payment = await payments.reaches(order_id, "reversed")

    listed = (await payments.staff("GET", f"/payments/{payment['id']}/refunds")).json()["data"]
    assert sorted(refund["amount"]["amount"] for refund in listed) == [500, 2098]
    assert await payments.net(order_id) == 0
    assert await payments.told(order_id) == ["payment.succeeded", "refund.succeeded", "payment.cancelled"]
    key = f"ref:{refund_id}"
    assert await payments.rows("SELECT amount FROM payment_service.ledger WHERE key = $1", key) == [(500,)]
