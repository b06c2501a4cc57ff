"""Staff: they fill shelves, pack and deliver, take goods back and give some money back."""

import asyncio
import time
from random import Random
from typing import Any

from ordermill.prove.person import GivenUp, Person, a_key

PAUSE = 0.5
DELIVERY = 400
TASKS = 20


class Clerk:
    """One closed loop over the work list."""

    def __init__(self, person: Person) -> None:
        self._person = person

    @property
    def _random(self) -> Random:
        return self._person.random

    async def run(self, until: float) -> None:
        """Works until that moment of the monotonic clock."""
        while time.monotonic() < until:
            try:
                await self._fill()
                await self._pack()
            except GivenUp as request:
                self._person.ledger.contradict("nobody answered for 90 s", request=str(request))
            await asyncio.sleep(PAUSE)

    async def _fill(self) -> None:
        """Deliveries for what ran low, and now and then a unit that broke."""
        low = await self._person.get("/stock", low="true", limit=100)
        for stock in low["data"] if low else []:
            await self._adjust(stock["sku"], {"delta": DELIVERY, "reason": "received"})
        everything = await self._person.get("/stock", limit=100)
        if everything and self._random.random() < PAUSE:
            sku = self._random.choice(everything["data"])["sku"]
            await self._adjust(sku, {"delta": -1, "reason": "damaged"})

    async def _adjust(self, sku: str, body: dict[str, Any]) -> None:
        answer = await self._person.post(f"/stock/{sku}/adjustments", body, key=a_key(self._random))
        self._person.ledger.acts["shelves changed"] += not answer.is_error

    async def _pack(self) -> None:
        """Some of the open tasks, in any order: two clerks may take the same, and customers cancel meanwhile."""
        listed = await self._person.get("/tasks", status="pending", limit=100)
        tasks = [task for task in listed["data"] if task["kind"] == "fulfil"] if listed else []
        for task in self._random.sample(tasks, min(TASKS, len(tasks) // 2)):
            parcel = {"carrier": "Post", "tracking_number": a_key(self._random)[:12]}
            answer = await self._person.post(f"/tasks/{task['id']}/complete", parcel)
            if not answer.is_error:
                self._person.ledger.acts["orders packed"] += 1
                await self._after(task["order_id"])

    async def _after(self, order_id: str) -> None:
        match self._random.randrange(4):
            case 0:
                await self._deliver(order_id)
            case 1:
                await self._give_back(order_id)

    async def _deliver(self, order_id: str) -> None:
        found = await self._person.get("/reservations", order_id=order_id)
        shipments = [shipment for each in found["data"] for shipment in each["shipments"]] if found else []
        for shipment in shipments:
            answer = await self._person.post(f"/shipments/{shipment['id']}/delivery")
            self._person.ledger.acts["parcels delivered"] += not answer.is_error

    async def _give_back(self, order_id: str) -> None:
        body = {"amount": {"amount": 100, "currency": "EUR"}, "reason": "scratched"}
        answer = await self._person.post(f"/orders/{order_id}/refunds", body, key=a_key(self._random))
        self._person.ledger.acts["money given back"] += not answer.is_error
