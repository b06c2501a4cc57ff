"""A customer with an order of every kind, and everybody who would like to do something with it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from chassis.scopes import Scope
from contracts.types import Role
from tests.attacks.policy import EVERYBODY
from tests.support.guarded_shop import GuardedShop
from tests.support.people import Person

ROLES = {"owner": Role.CUSTOMER, "another customer": Role.CUSTOMER, "staff": Role.STAFF, "admin": Role.ADMIN}


@dataclass(eq=False)
class Stage:
    """``orders`` are the owner's, by kind; of a kind that a request uses up there is one for each identity."""

    shop: GuardedShop
    people: Mapping[str, Person]
    sku: str
    orders: Mapping[str, list[dict[str, Any]]]
    owner_id: str

    @asynccontextmanager
    async def identity(self, name: str, scope: str | None) -> AsyncIterator[Person]:
        """The person or the program; a program has exactly the scope that a route needs, or every other one."""
        if name in self.people:
            yield self.people[name]
            return
        others = [each for each in Scope if each != scope]
        scopes = others if name.endswith("without the scope") or scope is None else [scope]
        owner = self.people["owner" if name.startswith("owner") else "staff"]
        async with self.shop.with_key(owner, *scopes) as program:
            yield program

    def order(self, kind: str) -> dict[str, Any]:
        """An order that may be used up."""
        return self.orders[kind].pop()

    async def payment(self) -> str:
        payment = await self.people["owner"].payment_of(self.orders["paid"][0])
        assert payment
        return str(payment["id"])

    async def shipment(self) -> str:
        shipped = await self.people["owner"].seen(self.orders["shipped"][0])
        return str(shipped["shipments"][0]["id"])

    async def notification(self, order: dict[str, Any]) -> str:
        found = await self.people["owner"].get("/notifications", order_id=order["id"])
        return str(found["data"][0]["id"])


async def a_stage(shop: GuardedShop) -> Stage:
    """Everything has happened, and nothing moves any more."""
    people = {name: await shop.somebody(role) for name, role in ROLES.items()}
    people["anonymous"] = Person(shop.client, "", "")
    people["anonymous"].authorized = {}
    owner, staff = people["owner"], people["staff"]
    sku = await shop.product(staff)
    each = range(len(EVERYBODY))
    placed = {
        "paid": [await owner.ordered(sku)],
        "mailed": await asyncio.gather(*(owner.ordered(sku) for _ in each)),
        "declined": await asyncio.gather(*(owner.ordered(sku, token="tok_declined") for _ in each)),
        "unpaid": await asyncio.gather(*(owner.ordered(sku, token=None) for _ in each)),
        "shipped": [await owner.ordered(sku, quantity=len(EVERYBODY))],
        "cancelled": [await owner.ordered(sku)],
    }
    (await owner.cancel(placed["cancelled"][0])).raise_for_status()
    await shop.lively.settle()
    tasks = await staff.get("/tasks", order_id=placed["shipped"][0]["id"])
    (await staff.post(f"/tasks/{tasks['data'][0]['id']}/complete")).raise_for_status()
    await shop.lively.settle()
    await shop.lively.send_mails()
    placed["pending"] = [await owner.ordered(sku)]
    return Stage(shop, people, sku, placed, (await owner.get("/auth/me"))["id"])
