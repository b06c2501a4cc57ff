"""Cancelled means: the stock is back and the customer holds no charge, whenever the cancellation came."""

import asyncio

from tests.support.eventually import eventually
from tests.support.people import Person, a_customer, a_product, uuid_of
from tests.support.running_shop import RunningShop


async def test_cancelling_while_the_card_is_charged_gives_everything_back(
    shop: RunningShop, customer: Person, staff: Person, sku: str
):
    # given
    order = await customer.ordered(sku, quantity=3, token="tok_slow")
    await customer.reaches(order, status="awaiting_payment")
    await eventually(lambda: _is_charged(customer, order))

    # when
    answer = await customer.cancel(order)

    # then
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")
    after = await customer.reaches(order, status="cancelled")
    assert after["cancel_reason"] == "customer"
    assert await shop.net(uuid_of(order)) == 0
    assert await staff.stock_of(sku) == (10, 0)


async def test_cancelling_after_the_confirmation_refunds_and_gives_the_stock_back(
    shop: RunningShop, customer: Person, staff: Person, sku: str
):
    # given
    order = await customer.ordered(sku, quantity=3, wait=10)
    assert order["status"] == "confirmed"

    # when
    answer = await customer.cancel(order)

    # then
    assert answer.status_code == 202
    after = await customer.reaches(order, status="cancelled", payment_status="refunded")
    assert after["refunded_total"] == after["total"] == {"amount": 3000, "currency": "EUR"}
    assert await shop.charged(uuid_of(order)) == [3000]
    assert await shop.net(uuid_of(order)) == 0
    assert await staff.stock_of(sku) == (10, 0)
    tasks = (await staff.get("/tasks", order_id=order["id"]))["data"]
    assert [task["status"] for task in tasks] in ([], ["cancelled"])


async def test_a_cancelled_order_may_be_cancelled_again_and_stays_so(shop: RunningShop, customer: Person, sku: str):
    # given
    order = await customer.ordered(sku, wait=10)
    await customer.cancel(order)
    before = await customer.reaches(order, status="cancelled")

    # when
    again = await customer.cancel(order)

    # then
    assert (again.status_code, again.json()) == (202, before)
    assert await shop.net(uuid_of(order)) == 0


async def test_an_order_that_was_shipped_cannot_be_cancelled(
    shop: RunningShop, customer: Person, staff: Person, sku: str
):
    # given
    order = await customer.ordered(sku, quantity=3, wait=10)
    await eventually(lambda: _has_task(staff, order))
    [task] = (await staff.get("/tasks", order_id=order["id"], status="pending"))["data"]
    completed = await staff.post(f"/tasks/{task['id']}/complete", {"carrier": "PostNL", "tracking_number": "3S123"})
    assert completed.status_code == 200
    await customer.reaches(order, status="shipped", fulfilment_status="shipped")

    # when
    refused = await customer.cancel(order)

    # then
    assert (refused.status_code, refused.json()["code"]) == (409, "order_not_cancellable")
    assert await shop.net(uuid_of(order)) == 3000
    assert await staff.stock_of(sku) == (7, 0)


async def test_cancelling_at_any_moment_ends_with_nothing_held_and_nothing_charged(
    shop: RunningShop, client, staff: Person
):
    # given
    sku = await a_product(staff, stock=30)
    people = [await a_customer(client) for _ in range(3)]

    async def order_and_cancel(number: int) -> tuple[Person, dict]:
        person = people[number % len(people)]
        order = await person.ordered(sku, token="tok_ok", wait=0)
        await asyncio.gather(*(person.seen(order) for _ in range(number % 5)))  # each is cancelled a little later
        answer = await person.cancel(order)
        assert answer.status_code == 202
        return person, order

    # when
    cancelled = await asyncio.gather(*(order_and_cancel(number) for number in range(30)))

    # then
    for person, order in cancelled:
        await person.reaches(order, status="cancelled")
        assert await shop.net(uuid_of(order)) == 0
    assert await staff.stock_of(sku) == (30, 0)


async def _is_charged(customer: Person, order: dict) -> bool:
    payment = await customer.payment_of(order)
    return payment is not None and payment["status"] == "processing"


async def _has_task(staff: Person, order: dict) -> bool:
    return bool((await staff.get("/tasks", order_id=order["id"], status="pending"))["data"])
