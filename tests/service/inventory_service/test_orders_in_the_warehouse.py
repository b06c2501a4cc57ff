"""Facts about orders, settled on a real PostgreSQL."""

import asyncio
from itertools import product
from uuid import UUID

import asyncpg
import pytest

from chassis.ids import new_id, typeid
from contracts.payments import RefundFailed
from contracts.types import CancelPhase, Money, OrderId
from inventory_service.domain import shipping
from inventory_service.domain.stock import SetWarehouse
from tests.support.eventually import eventually
from tests.support.inventory_service import a_cancellation, an_order_confirmed, an_order_created

S1_S2_S3 = """
    SELECT s.sku FROM inventory_service.stock s
    LEFT JOIN (SELECT sku, warehouse, sum(delta) AS d, sum(reserved_delta) AS r
               FROM inventory_service.stock_movements GROUP BY 1, 2) m USING (sku, warehouse)
    WHERE s.on_hand <> m.d OR s.reserved <> m.r OR NOT 0 <= s.reserved OR s.reserved > s.on_hand + s.backorder_limit"""
S2_BY_RESERVATIONS = """
    SELECT s.sku FROM inventory_service.stock s
    LEFT JOIN (SELECT h->>'sku' AS sku, sum((h->>'quantity')::int - (h->>'shipped')::int) AS q
               FROM inventory_service.reservations, jsonb_array_elements(holds) h
               WHERE status IN ('held', 'committed') GROUP BY 1) r USING (sku)
    WHERE s.reserved <> coalesce(r.q, 0)"""


def some_orders(count):
    return [OrderId(new_id()) for _ in range(count)]


async def task_of(inventory, order_id: UUID):
    response = await inventory.call("GET", f"/tasks?order_id={typeid('ord', order_id)}")
    return response.json()["data"][0]


async def test_two_hundred_orders_for_fifty_units_hold_exactly_fifty(inventory):
    await inventory.stocked(on_hand=50)

    await inventory.hear(*(an_order_created(("MUG-RED", 1), order_id=order_id) for order_id in some_orders(200)))

    statuses = await inventory.rows("SELECT status, count(*) FROM inventory_service.reservations GROUP BY 1 ORDER BY 1")
    assert statuses == [("held", 50), ("rejected", 150)]
    assert (await inventory.call("GET", "/stock/MUG-RED")).json()["available"] == 0
    told = await inventory.told()
    assert [told.count(topic) for topic in ("stock.reserved", "stock.rejected", "stock.low")] == [50, 150, 1]
    versions = await inventory.rows("SELECT version FROM inventory_service.stock")
    assert versions == [(51,)]
    assert await inventory.rows(S1_S2_S3) == await inventory.rows(S2_BY_RESERVATIONS) == []


async def test_an_order_that_comes_and_goes_again_and_again_has_low_stock_told_once(inventory):
    await inventory.stocked(on_hand=6)

    for order_id in some_orders(5):
        await inventory.hear(an_order_created(("MUG-RED", 1), order_id=order_id))
        await inventory.hear(a_cancellation(order_id=order_id))

    told = await inventory.told()
    assert [told.count(topic) for topic in ("stock.released", "stock.low", "stock.replenished")] == [5, 1, 0]
    assert await inventory.rows("SELECT low, low_told_at <= now() FROM inventory_service.stock") == [(False, True)]


async def both_wait_for_the_shelves(inventory) -> bool:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return await inventory.rows(sql) == [(2,)]


async def test_two_workers_never_hold_more_than_there_is(inventory):
    await inventory.stocked("CAP-RED", on_hand=40)
    await inventory.stocked("MUG-RED", on_hand=30)
    ways = [(("MUG-RED", 1), ("CAP-RED", 1)), (("CAP-RED", 1), ("MUG-RED", 1))]

    async with (
        inventory.another_worker() as other,
        asyncio.TaskGroup() as hearing,
        inventory.parts.database.transaction() as tx,
    ):
        await tx.sql("SELECT 1 FROM inventory_service.stock FOR UPDATE")
        for n, parts in product(range(6), (inventory.parts, other)):
            orders = (an_order_created(*ways[n % 2], order_id=order_id) for order_id in some_orders(10))
            hearing.create_task(inventory.hear(*orders, parts=parts))
        await eventually(lambda: both_wait_for_the_shelves(inventory))

    statuses = await inventory.rows("SELECT status, count(*) FROM inventory_service.reservations GROUP BY 1 ORDER BY 1")
    assert statuses == [("held", 30), ("rejected", 90)]
    assert await inventory.rows(S1_S2_S3) == await inventory.rows(S2_BY_RESERVATIONS) == []
    assert await inventory.rows("SELECT 1 FROM inventory_service.deferred") == []


async def test_the_same_order_heard_by_two_workers_at_once_is_held_once(inventory):
    await inventory.stocked(on_hand=40)
    facts = [an_order_created(order_id=order_id) for order_id in some_orders(10)]

    async with inventory.another_worker() as other:
        await asyncio.gather(*(inventory.hear(*facts, parts=parts) for parts in (inventory.parts, other)))

    assert (await inventory.call("GET", "/stock/MUG-RED")).json()["reserved"] == 20
    assert (await inventory.told()).count("stock.reserved") == 10


async def test_the_database_itself_refuses_to_oversell(inventory):
    await inventory.stocked(on_hand=4)

    for change in ("on_hand = -1", "reserved = -1", "reserved = 5", "backorder_limit = -1"):
        with pytest.raises(asyncpg.CheckViolationError):
            await inventory.rows(f"UPDATE inventory_service.stock SET {change} RETURNING 1")  # noqa: S608 -- fixed words


async def test_the_journal_takes_no_movement_twice(inventory):
    await inventory.stocked(on_hand=4)

    with pytest.raises(asyncpg.UniqueViolationError):
        await inventory.rows(
            "INSERT INTO inventory_service.stock_movements"
            " (id, reference, sku, warehouse, kind, delta, reserved_delta, actor, created_at)"
            " SELECT gen_random_uuid(), reference, sku, warehouse, kind, delta, reserved_delta, actor, created_at"
            " FROM inventory_service.stock_movements"
        )


async def test_a_further_warehouse_serves_by_its_priority(inventory):
    await inventory.stocked(on_hand=4)
    await inventory.parts.pipeline.submit(SetWarehouse(code="near", priority=5))
    await inventory.parts.pipeline.submit(SetWarehouse(code="near", priority=-5))
    body = {"delta": 9, "reason": "received", "warehouse": "near"}
    await inventory.call("POST", "/stock/MUG-RED/adjustments", json=body, status=201)

    await inventory.hear(an_order_created(("MUG-RED", 10), order_id=some_orders(1)[0]))

    levels = (await inventory.call("GET", "/stock/MUG-RED")).json()["warehouses"]
    assert [(level["warehouse"], level["on_hand"], level["reserved"]) for level in levels] == [
        ("near", 9, 9),
        ("main", 4, 1),
    ]


async def test_a_confirmed_order_is_shipped_delivered_and_partly_returned(inventory):
    (order_id,) = some_orders(1)
    await inventory.stocked(on_hand=9)
    await inventory.hear(an_order_created(("MUG-RED", 2), order_id=order_id))
    await inventory.hear(an_order_confirmed(order_id=order_id))
    task = await task_of(inventory, order_id)

    parcel = {"carrier": "DHL", "tracking_number": "JD01"}
    done = (await inventory.call("POST", f"/tasks/{task['id']}/complete", json=parcel)).json()
    (reservation,) = (await inventory.call("GET", "/reservations?status=consumed")).json()["data"]
    (shipment,) = reservation["shipments"]
    delivered = (await inventory.call("POST", f"/shipments/{shipment['id']}/delivery")).json()
    lines = [{"sku": "MUG-RED", "quantity": 2, "restocked": 1}]
    body = {"order_id": typeid("ord", order_id), "lines": lines}
    returned = (await inventory.call("POST", "/returns", json=body, status=201)).json()

    assert (task["status"], done["status"], done["version"]) == ("pending", "completed", 2)
    assert (shipment["carrier"], shipment["tracking"], shipment["delivered_at"]) == ("DHL", "JD01", None)
    assert delivered["delivered_at"] is not None
    assert (returned["order_id"], returned["lines"]) == (typeid("ord", order_id), lines)
    assert returned["id"].startswith("ret_")
    stock = (await inventory.call("GET", "/stock/MUG-RED")).json()
    assert (stock["on_hand"], stock["reserved"]) == (8, 0)
    moved = (await inventory.call("GET", "/stock/MUG-RED/movements")).json()["data"]
    assert sorted(m["kind"] for m in moved) == ["receive", "reserve", "return", "ship"]
    assert await inventory.told() == [
        "product.upserted",
        "stock.reserved",
        "shipment.dispatched",
        "shipment.delivered",
        "return.received",
    ]
    assert await inventory.rows(S1_S2_S3) == await inventory.rows(S2_BY_RESERVATIONS) == []


async def test_after_the_last_return_that_is_taken_another_one_is_refused(inventory, monkeypatch):
    monkeypatch.setattr(shipping, "MOST_RETURNS", 2)
    (order_id,) = some_orders(1)
    await inventory.stocked(on_hand=9)
    await inventory.hear(an_order_created(("MUG-RED", 4), order_id=order_id), an_order_confirmed(order_id=order_id))
    task = await task_of(inventory, order_id)
    await inventory.call("POST", f"/tasks/{task['id']}/complete", json={})
    body = {"order_id": typeid("ord", order_id), "lines": [{"sku": "MUG-RED", "quantity": 1, "restocked": 1}]}
    for _ in range(2):
        await inventory.call("POST", "/returns", json=body, status=201)

    refused = (await inventory.call("POST", "/returns", json=body, status=409)).json()

    assert refused["code"] == "too_many_returns"
    assert refused["detail"].startswith("There are 2 returns of this order already, of any number of units each.")
    assert (await inventory.call("GET", "/stock/MUG-RED")).json()["on_hand"] == 7


async def test_a_cancellation_after_shipping_is_refused(inventory):
    (order_id,) = some_orders(1)
    await inventory.stocked()
    await inventory.hear(an_order_created(order_id=order_id))
    await inventory.hear(an_order_confirmed(order_id=order_id))
    task = await task_of(inventory, order_id)
    await inventory.call("POST", f"/tasks/{task['id']}/complete")

    await inventory.hear(a_cancellation(order_id=order_id, phase=CancelPhase.POST))

    assert (await inventory.told())[-1] == "stock.cancellation_refused"
    assert (await task_of(inventory, order_id))["status"] == "completed"


async def test_a_cancellation_before_shipping_gives_back_and_closes_the_task(inventory):
    (order_id,) = some_orders(1)
    await inventory.stocked()
    await inventory.hear(an_order_created(order_id=order_id))
    await inventory.hear(an_order_confirmed(order_id=order_id))

    await inventory.hear(a_cancellation(order_id=order_id, phase=CancelPhase.POST))
    await inventory.hear(a_cancellation(order_id=order_id, phase=CancelPhase.POST))

    task = await task_of(inventory, order_id)
    refused = await inventory.call("POST", f"/tasks/{task['id']}/complete", status=409)
    assert (task["status"], refused.json()["code"]) == ("cancelled", "task_closed")
    assert (await inventory.told()).count("stock.released") == 2
    assert (await inventory.call("GET", "/stock/MUG-RED")).json()["reserved"] == 0
    assert await inventory.rows(S1_S2_S3) == []


async def test_a_cancellation_in_one_batch_with_its_order_finds_nothing_held(inventory):
    orders = some_orders(3)
    await inventory.stocked()

    await inventory.hear(*(a_cancellation(order_id=order_id) for order_id in orders))
    await inventory.hear(*(an_order_created(order_id=order_id) for order_id in orders))

    statuses = await inventory.rows("SELECT DISTINCT status FROM inventory_service.reservations")
    assert statuses == [("void",)]
    assert (await inventory.call("GET", "/stock/MUG-RED")).json()["reserved"] == 0


async def test_a_refund_that_failed_is_on_the_work_list(inventory):
    (order_id, refund_id) = some_orders(2)
    fact = RefundFailed(
        order_id=order_id, refund_id=refund_id, amount=Money(amount=1, currency="EUR"), code="card_closed"
    )

    await inventory.hear(fact)
    await inventory.hear(fact)

    (task,) = (await inventory.call("GET", "/tasks?priority=high&status=pending")).json()["data"]
    assert (task["kind"], task["order_id"], task["description"]) == ("check", typeid("ord", order_id), "card_closed")
