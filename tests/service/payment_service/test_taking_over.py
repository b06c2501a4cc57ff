"""Taking over calls that may have been made: what the provider is asked then, counted, however well it honours keys."""

import pytest

from payment_service import charging
from payment_service.simulator_books import Charge, Return
from tests.service.payment_service.conftest import at_work, patient
from tests.support.recorded_provider import Recorded


@pytest.fixture
async def payments(settings):
    """The service without its loops; what its provider is asked is in ``provider.calls``."""
    async with at_work(patient(settings), loops=False) as payments:
        payments.parts.own.provider = Recorded(payments.parts.own.provider)
        yield payments


@pytest.fixture
def provider(payments):
    return payments.parts.own.provider


async def a_charge_taken_over(payments, order_id):
    """A charge that somebody claimed and never recorded; its key."""
    sql = "UPDATE payment_service.payment_attempts SET claimed = true WHERE order_id = $1 RETURNING key"
    [(key,)] = await payments.rows(sql, order_id)
    return key


async def a_refund_taken_over(payments):
    """A refund of a captured payment that somebody claimed and never recorded; its order, its key, its charge's."""
    order_id = await payments.asked()
    await charging.step(payments.parts)
    await payments.reaches(order_id, "captured")
    await payments.give_back(order_id)
    sql = "UPDATE payment_service.refunds SET claimed = true, status = 'sent' RETURNING key, charge_key"
    [(key, charge_key)] = await payments.rows(sql)
    return order_id, key, charge_key


async def test_a_charge_that_nobody_claimed_before_is_made_without_a_look_up(payments, provider):
    order_id = await payments.asked()

    await charging.step(payments.parts)

    await payments.reaches(order_id, "captured")
    assert [verb for verb, _keys in provider.calls] == ["charge"]


async def test_a_charge_that_is_taken_over_and_found_is_not_asked_for_again(payments, provider):
    order_id = await payments.asked()
    key = await a_charge_taken_over(payments, order_id)
    charge = Charge(key=key, order_id=order_id, token="tok_ok", amount=2598, currency="EUR")
    await provider.simulator.books.charge([charge])

    await charging.step(payments.parts)

    await payments.reaches(order_id, "captured")
    assert provider.calls == [("find", [key])]


async def test_of_charges_that_are_taken_over_only_those_not_found_are_asked_for_under_their_keys(payments, provider):
    found, lost = [await payments.asked() for _ in range(2)]
    found_key, lost_key = [await a_charge_taken_over(payments, order_id) for order_id in (found, lost)]
    charge = Charge(key=found_key, order_id=found, token="tok_ok", amount=2598, currency="EUR")
    await provider.simulator.books.charge([charge])

    await charging.step(payments.parts)

    for order_id in (found, lost):
        await payments.reaches(order_id, "captured")
    assert provider.calls == [("find", sorted([found_key, lost_key])), ("charge", [lost_key])]


async def test_a_refund_that_is_taken_over_and_found_is_not_asked_for_again(payments, provider):
    order_id, key, charge_key = await a_refund_taken_over(payments)
    await provider.simulator.books.refund([Return(key=key, charge_key=charge_key, amount=2598)])
    provider.calls.clear()

    await charging.step(payments.parts)

    await payments.reaches(order_id, "reversed")
    assert provider.calls == [("find_refund", [key])]


async def test_a_refund_that_is_taken_over_and_not_found_is_asked_for_under_its_key(payments, provider):
    order_id, key, _charge_key = await a_refund_taken_over(payments)
    provider.calls.clear()

    await charging.step(payments.parts)

    await payments.reaches(order_id, "reversed")
    assert provider.calls == [("find_refund", [key]), ("refund", [key])]
