"""What is parked in a running shop goes through when it is retried, and what is told again has no second effect."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from ordermill.setup import listeners
from tests.support.eventually import eventually
from tests.support.outcomes import confirmed_once
from tests.support.people import Person, a_customer, a_product, uuid_of
from tests.support.running_shop import RunningShop

EFFECTS = (
    "SELECT count(*) FROM inventory_service.stock_movements",
    "SELECT count(*) FROM inventory_service.tasks",
    "SELECT count(*) FROM payment_service.payment_attempts",
    "SELECT count(*) FROM provider.charges",
    "SELECT count(*) FROM order_service.order_history",
    "SELECT count(*) FROM notification_service.notifications",
)
SERVICES = ("auth_service", "inventory_service", "order_service", "payment_service", "notification_service")
WAITING = " UNION ALL ".join(map("SELECT 1 FROM {}.outbox WHERE published_at IS NULL".format, SERVICES))
DEFERRED = " UNION ALL ".join(map("SELECT 1 FROM {}.deferred".format, SERVICES))


@asynccontextmanager
async def a_broken_warehouse(shop: RunningShop) -> AsyncIterator[None]:
    """A migration that went wrong: reservations cannot be found."""
    await shop.rows("ALTER TABLE inventory_service.reservations RENAME TO mislaid")
    yield
    await shop.rows("ALTER TABLE inventory_service.mislaid RENAME TO reservations")


async def parked(shop: RunningShop, count: int) -> None:
    """Returns when so many events of the warehouse are parked; their last attempt comes sooner than it would."""

    async def are_parked() -> bool:
        await shop.rows("UPDATE inventory_service.deferred SET attempts = 7, not_before = now() WHERE attempts < 7")
        rows = await shop.rows("SELECT 1 FROM inventory_service.deferred WHERE state = 'parked'")
        return len(rows) == count

    await eventually(are_parked)


async def test_what_was_parked_is_retried_by_its_group_and_each_order_is_confirmed_once(
    shop: RunningShop, customer: Person, staff: Person
):
    # given
    sku = await a_product(staff, stock=100)
    async with a_broken_warehouse(shop):
        orders = [await customer.ordered(sku) for _ in range(5)]
        await parked(shop, 5)
        early = json.loads(await shop.command("dead", "list", "-o", "json"))
    groups = json.loads(await shop.command("dead", "list", "-o", "json"))

    # when
    done = json.loads(await shop.command("dead", "retry", "--cause", groups[0]["group"], "-o", "json"))

    # then
    assert groups == early
    assert [(group["service"], group["topic"], group["count"]) for group in groups] == [
        ("inventory_service", "order.created", 5)
    ]
    assert "reservations" in groups[0]["cause"]
    assert done == {"put_back": 5, "settled": 5, "parked_again": 0, "under_way": 0}
    await confirmed_once(shop, customer, orders, sku)
    assert await staff.stock_of(sku) == (100, 5)
    assert json.loads(await shop.command("dead", "list", "-o", "json")) == []


async def test_everything_told_again_to_everybody_doubles_no_effect(
    shop: RunningShop, customer: Person, staff: Person, client: httpx2.AsyncClient
):
    """Queues keep their order, so that what was told again has been heard when an order has gone through behind it."""
    # given
    other = await a_customer(client)
    cancelled = await other.ordered(await a_product(staff), wait=10)
    await other.cancel(cancelled)
    await other.reaches(cancelled, status="cancelled")
    sku = await a_product(staff, stock=100)
    orders = [await customer.ordered(sku) for _ in range(5)]
    first = await _after_another(shop, customer, orders, sku)
    second = await _after_another(shop, customer, orders, sku)

    # when
    for service, topics in listeners().items():
        if topics:
            await shop.command("events", "replay", "--to", service, "--handled")
    await shop.command("events", "republish", "products")

    # then
    assert min(first) > 0
    third = await _after_another(shop, customer, orders, sku)
    assert [after - before for before, after in zip(second, third, strict=True)] == [
        after - before for before, after in zip(first, second, strict=True)
    ]
    assert await shop.rows(DEFERRED) == []


async def _after_another(shop: RunningShop, customer: Person, orders: list[dict[str, Any]], sku: str) -> list[int]:
    """How many effects there are when one more order has had all of its own."""

    async def is_over() -> bool:
        tasks = "SELECT 1 FROM inventory_service.tasks WHERE order_id = $1"
        return await shop.rows(WAITING) == [] and len(await shop.rows(tasks, uuid_of(orders[-1]))) == 1

    await eventually(lambda: _is_told(shop))
    orders.append(await customer.ordered(sku))
    await confirmed_once(shop, customer, orders, sku)
    await eventually(is_over)
    return [(await shop.rows(statement))[0]["count"] for statement in EFFECTS]


async def _is_told(shop: RunningShop) -> bool:
    return await shop.rows(WAITING) == []


async def test_the_story_of_an_order_is_exported_over_all_services(shop: RunningShop, customer: Person, sku: str):
    # given
    order = await customer.ordered(sku, wait=10)
    await eventually(lambda: _is_told(shop))

    # when
    exported = await shop.command("events", "export", "--order", order["id"])

    # then
    events: list[dict[str, Any]] = [json.loads(line) for line in exported.splitlines()]
    assert [event["type"] for event in events] == [
        "order.created", "stock.reserved", "order.payment_requested", "payment.succeeded", "order.confirmed",
    ]  # fmt: skip
    assert {event["subject"] for event in events} == {str(uuid_of(order))}
