"""One customer's slow cards hold up nobody else: their calls leave places free, and their backlog hides nothing."""

from datetime import timedelta

import pytest

from chassis.ids import new_id
from chassis.worker import taking_over
from contracts.orders import PaymentRequested
from contracts.types import Money
from payment_service import charging
from tests.service.payment_service.conftest import at_work, comes_to, patient

SLOW = new_id()
DUE = "SELECT order_id FROM payment_service.payment_attempts WHERE due_at <= now()"
CLAIMED = "SELECT count(*) FROM payment_service.payment_attempts WHERE claimed"


@pytest.fixture
async def payments(settings, monkeypatch):
    """Sixteen places for calls, of which slow ones do not end."""
    monkeypatch.setattr(charging, "LANDING", 0.01)
    never_ends = patient(settings, calls_in_flight=16, simulator_scale=1000.0)
    async with at_work(never_ends, loops=False) as payments:
        yield payments


def requests(method, many, customer_id=None):
    price = Money(amount=2598, currency="EUR")
    return [
        PaymentRequested(order_id=new_id(), customer_id=customer_id or new_id(), attempt=1, amount=price, method=method)
        for _ in range(many)
    ]


async def looked(payments):
    """Until nothing more may begin."""
    while await charging.step(payments.parts):
        pass


async def test_at_birth_slow_cards_leave_half_of_the_places_to_others(payments):
    slow, others = requests("tok_slow", 12, SLOW), requests("tok_ok", 3)
    with taking_over(payments.parts):
        await payments.hear(*slow[:5])
        await payments.hear(*slow[5:], *others)

        for other in others:
            await payments.reaches(other.order_id, "captured")
        assert list(payments.parts.own.out.values()) == [SLOW] * 8
        assert {order_id for (order_id,) in await payments.rows(DUE)} == {one.order_id for one in slow[8:]}
        assert payments.parts.own.handover.left.count == 0


async def test_where_a_batch_fails_and_its_items_go_alone_a_customer_has_no_more_either(payments, monkeypatch):
    store, [failing, *slow] = payments.parts.work.store, requests("tok_slow", 13, SLOW)
    save = store.save

    async def fails(tx, changes):
        if any(change.after.key == failing.order_id for change in changes.values()):
            raise ValueError
        await save(tx, changes)

    monkeypatch.setattr(store, "save", fails)
    with taking_over(payments.parts):
        await payments.hear(failing, *slow)

    # What failed alone keeps its place until the batch has ended.
    assert list(payments.parts.own.out.values()) == [SLOW] * 7


async def test_a_look_finds_others_calls_behind_a_backlog_of_thousands(payments):
    early, late = requests("tok_slow", 1500, SLOW), requests("tok_slow", 1500, SLOW)
    others = requests("tok_ok", 3)
    for some in (early, others, late):
        for first in range(0, len(some), 200):
            await payments.hear(*some[first : first + 200])

    for _ in range(6):
        await charging.step(payments.parts)

    for other in others:
        await payments.reaches(other.order_id, "captured")
    assert list(payments.parts.own.out.values()) == [SLOW] * 8
    assert await payments.rows(CLAIMED) == [(8 + len(others),)]


async def test_there_are_places_for_others_refunds_too(payments):
    [other] = requests("tok_ok", 1)
    await payments.hear(other)
    await looked(payments)
    await payments.reaches(other.order_id, "captured")
    await payments.hear(*requests("tok_slow", 30, SLOW))
    await looked(payments)
    await payments.give_back(other.order_id)

    await looked(payments)

    await payments.reaches(other.order_id, "reversed")


async def test_every_call_of_whoever_has_slow_cards_ends(settings):
    few = patient(settings, calls_in_flight=4, lease=timedelta(seconds=60))
    async with at_work(few) as payments:
        slow, others = requests("tok_slow", 12, SLOW), requests("tok_ok", 12)
        for one, other in zip(slow, others, strict=True):
            await payments.hear(one, other)

        for each in (*others, *slow):
            await payments.reaches(each.order_id, "captured")
        await comes_to(lambda: out(payments), {})


async def out(payments):
    return payments.parts.own.out
