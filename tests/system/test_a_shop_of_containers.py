"""compose.yaml and the built image make a shop. Where no Docker engine answers, the same is asked of the local one."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.composed_shop import ComposedShop, a_composed_shop
from tests.support.containers import an_engine_answers
from tests.support.eventually import eventually
from tests.support.people import Person, a_customer, visiting
from tests.support.running_shop import RunningShop

Door = ComposedShop | RunningShop


@pytest.fixture
async def composed(run_folder: Path) -> AsyncIterator[ComposedShop]:
    async with a_composed_shop(run_folder / "composed") as shop:
        yield shop


@pytest.fixture
def door(request: pytest.FixtureRequest) -> Door:
    """Whatever shop there can be."""
    found: Door = request.getfixturevalue("composed" if an_engine_answers() else "shop")
    return found


async def come_again(door: Door) -> None:
    if isinstance(door, ComposedShop):
        await door.come_again()
    else:
        for name in ("shop.worker", "shop.api"):
            await door.command("restart", name)


async def mails(door: Door, customer: Person) -> list[dict[str, Any]]:
    return await door.mails(customer.email)


async def test_an_order_through_the_published_port_is_confirmed_and_outlives_its_processes(door: Door):
    async with visiting(door) as client:
        # given
        customer = await a_customer(client)

        # when
        order = await customer.ordered("MUG-RED", quantity=2, wait=10)

        # then
        await customer.reaches(order, status="confirmed", payment_status="paid")
        await eventually(lambda: _has_mails(door, customer, 1))
        promises = json.loads(await door.command("audit", "--always", "-o", "json"))
        assert len(promises) > 20
        assert [promise["id"] for promise in promises if not promise["ok"]] == []

    # when
    await come_again(door)

    # then
    async with visiting(door) as client:
        again = Person(client, customer.email, customer.authorized["Authorization"].removeprefix("Bearer "))
        assert (await again.seen(order))["status"] == "confirmed"
        late = await again.ordered("MUG-RED", wait=10)
        await again.reaches(late, status="confirmed", payment_status="paid")
        await eventually(lambda: _has_mails(door, customer, 2))
        told = {mail["subject"] for mail in await mails(door, customer)}
        assert told == {f"Your order {one['number']} is confirmed" for one in (order, late)}


async def _has_mails(door: Door, customer: Person, count: int) -> bool:
    return len(await mails(door, customer)) == count
