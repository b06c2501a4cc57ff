"""The one clock: an order that waits for its customer ends in time, one that waits for the shop does not."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.support.eventually import eventually
from tests.support.people import Person, uuid_of, visiting
from tests.support.running_shop import RunningShop, a_running_shop

PAY_BY = 4


@pytest.fixture(scope="module")
async def shop(run_folder: Path) -> AsyncIterator[RunningShop]:
    """A shop that waits four seconds for its customers."""
    async with a_running_shop(run_folder / "impatient", ORDERMILL_PAY_BY=f"PT{PAY_BY}S") as running:
        yield running


@pytest.fixture
async def client(shop: RunningShop) -> AsyncIterator[httpx2.AsyncClient]:
    async with visiting(shop) as opened:
        yield opened


async def test_a_declined_order_past_its_time_to_pay_is_cancelled_and_its_stock_is_back(
    shop: RunningShop, customer: Person, staff: Person, sku: str
):
    # given
    order = await customer.ordered(sku, quantity=4, token="tok_declined", wait=10)
    assert order["payment_status"] == "failed"
    assert await staff.stock_of(sku) == (10, 4)

    # when
    after = await customer.reaches(order, status="cancelled")

    # then
    assert after["cancel_reason"] == "deadline"
    assert after["cancelled_at"] > order["pay_by"]
    assert await staff.stock_of(sku) == (10, 0)
    assert await shop.net(uuid_of(order)) == 0
    refused = await customer.pay(order, "tok_ok")
    assert (refused.status_code, refused.json()["code"]) == (409, "order_not_payable")


async def test_an_order_without_a_method_past_its_time_to_pay_is_cancelled(
    shop: RunningShop, customer: Person, staff: Person, sku: str
):
    # given
    order = await customer.ordered(sku, token=None)

    # when
    after = await customer.reaches(order, status="cancelled")

    # then
    assert after["cancel_reason"] == "deadline"
    assert await staff.stock_of(sku) == (10, 0)


async def test_an_outage_longer_than_the_time_to_pay_cancels_nothing_that_nobody_could_work_on(
    shop: RunningShop, customer: Person, staff: Person, sku: str
):
    # given
    declined = await customer.ordered(sku, token="tok_declined", wait=10)
    asked = await customer.ordered(sku, token="tok_slow")
    await customer.reaches(asked, status="awaiting_payment")
    await shop.freeze("rabbitmq")
    began = time.monotonic()

    # when
    try:
        pending = [await customer.ordered(sku) for _ in range(3)]
        await customer.reaches(declined, status="cancelling")
        await eventually(lambda: time.monotonic() - began > PAY_BY + 1)
        meanwhile = await asyncio.gather(*(customer.seen(order) for order in (asked, *pending)))
    finally:
        await shop.thaw("rabbitmq")

    # then
    assert [order["status"] for order in meanwhile] == ["awaiting_payment", "pending", "pending", "pending"]
    for order in (asked, *pending):
        await customer.reaches(order, status="confirmed")
    await customer.reaches(declined, status="cancelled")
    assert await staff.stock_of(sku) == (10, 4)
