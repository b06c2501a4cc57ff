"""Whatever dies comes back, and meanwhile no order is lost or doubled."""

import asyncio

import pytest

from tests.support.eventually import eventually
from tests.support.outcomes import confirmed_once
from tests.support.people import Insistent, Person, a_product, an_order_for
from tests.support.running_shop import RunningShop

BACK_WITHIN = 15.0  # 5 s on a quiet machine; here tests, a second shop and the coverage's bookkeeping share two cores


async def test_with_the_broker_killed_orders_are_taken_and_after_it_is_back_completed(
    shop: RunningShop, customer: Person, staff: Person
):
    # given
    sku = await a_product(staff, stock=100)
    before = [await customer.ordered(sku) for _ in range(5)]

    # when
    killed = await shop.kill("rabbitmq")
    meanwhile = [await customer.order(an_order_for(sku)) for _ in range(20)]

    # then
    assert {response.status_code for response in meanwhile} == {201}
    await shop.back("rabbitmq", killed, within=60)
    await confirmed_once(shop, customer, [*before, *(response.json() for response in meanwhile)], sku)
    assert await staff.stock_of(sku) == (100, 25)


async def test_with_postgres_killed_the_api_says_503_and_afterwards_everything_completes(
    shop: RunningShop, customer: Person, staff: Person
):
    # given
    sku = await a_product(staff, stock=100)
    client = Insistent(customer)
    before = [await customer.ordered(sku) for _ in range(5)]

    # when
    killed = await shop.kill("postgres")
    meanwhile = await client.orders(20, sku)

    # then
    assert client.refused
    assert {response.status_code for response in client.refused} == {503}
    assert all(int(response.headers["Retry-After"]) >= 1 for response in client.refused)
    assert {response.headers["Content-Type"] for response in client.refused} == {"application/problem+json"}
    assert {response.json()["code"] for response in client.refused} == {"unavailable"}
    assert client.cut == 0

    # and
    await shop.back("postgres", killed, within=60)
    await confirmed_once(shop, customer, [*before, *meanwhile], sku)
    assert await staff.stock_of(sku) == (100, 25)


@pytest.mark.parametrize("name", ["shop.worker", "shop2.worker", "shop.api"])
async def test_a_killed_process_of_ours_is_back_and_no_order_is_lost_or_doubled(
    shop: RunningShop, customer: Person, staff: Person, name: str
):
    # given
    sku = await a_product(staff, stock=100)
    client = Insistent(customer)

    # when
    ordering = asyncio.create_task(client.orders(20, sku))
    killed = await shop.kill(name)
    orders = [*await ordering, *await client.orders(5, sku)]

    # then
    await shop.back(name, killed, within=BACK_WITHIN)
    await confirmed_once(shop, customer, orders, sku)
    assert await staff.stock_of(sku) == (100, 25)


@pytest.mark.parametrize("name", ["shop.worker", "shop2.worker", "shop.api"])
async def test_a_process_that_is_asked_to_end_finishes_what_it_has_taken(
    shop: RunningShop, customer: Person, staff: Person, name: str
):
    # given
    sku = await a_product(staff, stock=100)
    client = Insistent(customer)

    # when
    ordering = asyncio.create_task(client.orders(20, sku))
    await shop.command("restart", name)
    orders = [*await ordering, *await client.orders(5, sku)]

    # then
    assert (await shop.processes())[name]["status"] == "ready"
    await confirmed_once(shop, customer, orders, sku)
    assert await staff.stock_of(sku) == (100, 25)


async def test_with_the_mailbox_killed_orders_are_confirmed_and_the_mails_come_later(
    shop: RunningShop, customer: Person, staff: Person, sku: str
):
    # when
    killed = await shop.kill("mailbox")
    orders = [await customer.ordered(sku, wait=10) for _ in range(3)]

    # then
    assert [order["status"] for order in orders] == ["confirmed"] * 3
    await shop.back("mailbox", killed, within=BACK_WITHIN)
    await eventually(lambda: _has_mails(shop, customer, 3))


async def _has_mails(shop: RunningShop, customer: Person, count: int) -> bool:
    return len(await shop.mails(customer.email)) == count
