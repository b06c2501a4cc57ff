"""An upgrade without stopping: the previous version works on while this one's schemas come, and then both work."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.support.eventually import eventually
from tests.support.people import Person, a_customer, a_product, logged_in, visiting
from tests.support.two_versions import a_shop_of_two_versions

PLENTY = 10_000
SETTLED_WITHIN = 40.0


async def test_two_versions_work_beside_each_other_and_every_order_is_settled(run_folder: Path):
    async with (
        a_shop_of_two_versions(run_folder / "upgrading") as shop,
        visiting(shop.previous) as old_door,
        visiting(shop.next) as new_door,
    ):
        # given
        sku = await a_product(await logged_in(old_door, "staff@ordermill.example", shop.secret("demo.staff")), PLENTY)
        early = await a_customer(old_door)
        late = Person(new_door, early.email, early.authorized["Authorization"].removeprefix("Bearer "))

        # when
        orders = await _ordered_until(asyncio.create_task(shop.expand()), early, sku)
        beside = await asyncio.gather(*(person.ordered(sku, wait=10) for person in (early, late) * 20))
        after = await _ordered_until(asyncio.create_task(shop.contract()), late, sku)

        # then
        expected = {"confirmed": len(orders) + len(beside) + len(after)}
        await eventually(lambda: _is_so(shop.statuses(), expected), within=SETTLED_WITHIN)
        await eventually(lambda: _is_so(shop.mails_sent(), expected["confirmed"]), within=SETTLED_WITHIN)
        assert shop.restarts() == {}
        promises = json.loads(await shop.next.command("audit", "-o", "json"))
        assert [promise for promise in promises if not promise["ok"]] == []


async def _ordered_until(task: asyncio.Task[None], person: Person, sku: str) -> list[Any]:
    """One order after the other, each told its outcome, as long as something is under way."""
    orders = []
    while not task.done():
        orders.append(await person.ordered(sku, wait=10))
    await task
    return orders


async def _is_so(found: Any, expected: Any) -> bool:
    return await found == expected
