"""Customers who order and cancel, a warehouse that ships, until they are told to stop; and who was told what."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx2

from chassis.ids import parse_typeid
from ordermill.audit import Told
from tests.support.people import UNSURE, Person, a_key, an_order_for, uuid_of

CUSTOMERS = 6
TOKENS = ("tok_ok", "tok_ok", "tok_declined", "tok_ok", "tok_slow", "tok_timeout")
PAUSE = 0.02


@dataclass
class Request:
    """One POST /orders: its key and body, when it was asked, and what was answered."""

    key: str
    body: dict[str, Any]
    asked_at: datetime
    told_at: datetime | None = None
    order: dict[str, Any] | None = None

    @property
    def told(self) -> Told:
        """What the client knows, for the audit."""
        assert self.order
        return Told(uuid_of(self.order), parse_typeid("usr", self.order["customer_id"]), self.key)


class Crowd:
    """Six customers and a warehouse; every request is remembered, whether it was answered or not."""

    def __init__(self, customer: Person, staff: Person, sku: str) -> None:
        self.customer = customer
        self.staff = staff
        self.sku = sku
        self.requests: list[Request] = []
        self.shipped: list[str] = []
        self._ended = False

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """They work as long as the block does; requests that the end of the shop cuts stay unanswered."""
        self._ended = False
        work = [asyncio.create_task(self._order(number)) for number in range(CUSTOMERS)]
        work.append(asyncio.create_task(self._ship()))
        try:
            yield
        finally:
            self._ended = True
            await asyncio.gather(*work)

    def answered(self) -> list[Request]:
        return [request for request in self.requests if request.told_at]

    def accepted_before(self, moment: datetime) -> list[Request]:
        return [request for request in self.answered() if request.told_at and request.told_at <= moment]

    def asked_after(self, moment: datetime) -> list[Request]:
        return [request for request in self.requests if request.asked_at > moment]

    async def _order(self, number: int) -> None:
        for turn in range(number, 1_000_000, CUSTOMERS):
            if self._ended:
                return
            request = Request(a_key(), an_order_for(self.sku, token=TOKENS[turn % len(TOKENS)]), datetime.now(UTC))
            self.requests.append(request)
            with suppress(httpx2.TransportError):
                await self.ask(request)
                if turn % 5 == 0 and request.order:
                    await self.customer.cancel(request.order)
            await asyncio.sleep(PAUSE)

    async def ask(self, request: Request) -> None:
        """Sends a request; nothing is noted when nobody knows what became of it."""
        response = await self.customer.order(request.body, request.key)
        if response.status_code not in UNSURE:
            request.order, request.told_at = response.raise_for_status().json(), datetime.now(UTC)

    async def _ship(self) -> None:
        while not self._ended:
            with suppress(httpx2.TransportError, httpx2.HTTPStatusError):
                await self._ship_one()
            await asyncio.sleep(PAUSE * 10)

    async def _ship_one(self) -> None:
        for task in (await self.staff.get("/tasks", status="pending", limit=1))["data"]:
            body = {"carrier": "PostNL", "tracking_number": f"3S{len(self.shipped)}"}
            if (await self.staff.post(f"/tasks/{task['id']}/complete", body)).is_success:
                self.shipped.append(task["order_id"])


def ids(requests: list[Request]) -> set[UUID]:
    return {request.told.order_id for request in requests}
