"""Never more is sold than there is, and who comes too late is told what was missing."""

import asyncio
from collections import Counter

from tests.support.eventually import eventually
from tests.support.people import Person, a_customer, a_product, uuid_of
from tests.support.running_shop import RunningShop


async def test_more_than_the_stock_is_rejected_with_what_was_missing(
    shop: RunningShop, customer: Person, staff: Person, sku: str
):
    # when
    order = await customer.ordered(sku, quantity=11, wait=10)

    # then
    assert order["status"] == "rejected"
    assert order["failure"] == {"code": "insufficient_stock", "message": f"{sku}: 11 asked, 10 available."}
    assert await staff.stock_of(sku) == (10, 0)
    assert await shop.charged(uuid_of(order)) == []


async def test_two_hundred_orders_at_once_for_fifty_confirm_exactly_fifty(shop: RunningShop, client, staff: Person):
    # given
    sku = await a_product(staff, stock=50)
    customer = await a_customer(client)

    # when
    orders = await asyncio.gather(*(customer.ordered(sku) for _ in range(200)))

    # then
    ids = [uuid_of(order) for order in orders]
    await eventually(lambda: _none_is_open(shop, ids))
    assert await _counted(shop, ids) == {"confirmed": 50, "rejected": 150}
    assert await staff.stock_of(sku) == (50, 50)

    # and
    [(charges, amount)] = await shop.rows(
        "SELECT count(*), sum(amount) FROM provider.charges WHERE order_id = ANY($1::uuid[])", ids
    )
    assert (charges, amount) == (50, 50_000)
    levels = await shop.rows(
        "SELECT sum(reserved_delta) OVER (ORDER BY id) AS reserved FROM inventory_service.stock_movements"
        " WHERE sku = $1 AND kind IN ('reserve', 'release')",
        sku,
    )
    assert max(row["reserved"] for row in levels) == 50


async def _counted(shop: RunningShop, ids: list) -> Counter[str]:
    rows = await shop.rows("SELECT status FROM order_service.orders WHERE id = ANY($1::uuid[])", ids)
    return Counter(row["status"] for row in rows)


async def _none_is_open(shop: RunningShop, ids: list) -> bool:
    counted = await _counted(shop, ids)
    return counted["confirmed"] + counted["rejected"] == len(ids)
