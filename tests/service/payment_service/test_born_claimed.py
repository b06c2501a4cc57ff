"""Charges that are claimed as they are born, by whoever then asks the provider: no claim of their own is needed."""

from contextlib import asynccontextmanager

import pytest

from chassis.worker import taking_over
from payment_service import charging
from tests.service.payment_service.conftest import at_work, comes_to
from tests.support.recorded_provider import Recorded

ATTEMPTS = "SELECT claimed, due_at > now() FROM payment_service.payment_attempts ORDER BY claimed DESC"
LEASES_END = "UPDATE payment_service.payment_attempts SET due_at = now() RETURNING 1"


@pytest.fixture
async def payments(settings):
    """The service takes over what it makes, but looks for nothing; what its provider is asked is in its ``calls``."""
    async with at_work(settings.model_copy(update={"calls_in_flight": 2}), loops=False) as payments:
        payments.parts.own.provider = Recorded(payments.parts.own.provider)
        with taking_over(payments.parts):
            yield payments


def verbs(payments):
    return [verb for verb, _keys in payments.parts.own.provider.calls]


async def test_a_charge_that_is_asked_for_is_made_though_nobody_looks_for_it(payments):
    order_id = await payments.asked()

    await payments.reaches(order_id, "captured")
    assert verbs(payments) == ["charge"]
    assert (await payments.net(order_id), await payments.charges(order_id)) == (2598, 1)


async def test_a_charge_is_nobody_elses_from_its_first_moment(payments, settings):
    async with at_work(settings, loops=False) as neighbour:
        await payments.asked("tok_slow")

        await charging.step(neighbour.parts)

        assert await payments.rows(ATTEMPTS) == [(True, True)]
        assert neighbour.parts.own.out == {}


async def test_no_more_calls_are_out_than_allowed_and_what_is_too_much_is_due_to_anybody(payments):
    for _ in range(3):
        await payments.asked("tok_slow")

    assert await payments.rows(ATTEMPTS) == [(True, True), (True, True), (False, False)]
    assert (len(payments.parts.own.out), await charging.step(payments.parts)) == (2, False)


async def test_what_was_left_is_charged_by_whoever_looks_for_it(payments, settings):
    orders = [await payments.asked("tok_slow") for _ in range(3)]

    async with at_work(settings) as neighbour:
        for order_id in orders:
            await neighbour.reaches(order_id, "captured")

    assert [await payments.charges(order_id) for order_id in orders] == [1, 1, 1]


async def test_a_charge_whose_commit_nobody_knows_of_is_looked_up_when_its_lease_ends(payments, monkeypatch):
    database = payments.parts.database
    transaction = database.transaction
    lost = []

    @asynccontextmanager
    async def without_an_answer(**given):
        async with transaction(**given) as tx:
            yield tx
        if not lost and not given:
            lost.append(True)
            raise ConnectionError

    monkeypatch.setattr(database, "transaction", without_an_answer)
    order_id = await payments.asked()
    assert (lost, await payments.rows(ATTEMPTS), verbs(payments)) == ([True], [(True, True)], [])

    await payments.rows(LEASES_END)
    await charging.step(payments.parts)

    await payments.reaches(order_id, "captured")
    assert verbs(payments) == ["find", "charge"]


async def test_who_ends_waits_for_what_was_handed_over(settings):
    async with at_work(settings, loops=False) as payments:
        with taking_over(payments.parts):
            order_id = await payments.asked()

    async with at_work(settings, loops=False) as payments:
        assert (await payments.of_order(order_id))["status"] == "captured"


async def test_who_has_ended_begins_nothing_more(settings):
    async with at_work(settings, loops=False) as payments:
        parts = payments.parts

    parts.own.handover.begin([object()], 0.0)

    assert (parts.own.out, parts.own.flights) == ({}, set())


async def test_a_charge_that_was_handed_over_and_is_cancelled_gives_the_money_back(payments):
    order_id = await payments.asked()
    await payments.cancelled(order_id)

    async def looks():
        await charging.step(payments.parts)
        return (await payments.of_order(order_id))["status"]

    await comes_to(looks, "reversed")
    assert await payments.net(order_id) == 0
