"""Customers: each places one order after the other, and does with them what customers do."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from ordermill.launch import AN_ORDER
from ordermill.prove.ledger import Ledger
from ordermill.prove.person import PLACE, GivenUp, Person, a_key

Order = dict[str, Any]

PAUSE = 0.02
AT_ONCE = 4
FOLLOWED_FOR = 12.0
LOOKS_EACH = 1.5
ORDERS_A_SESSION = 60
PAID = {"confirmed", "partially_shipped", "shipped", "delivered"}
AT_REST = PAID | {"rejected", "cancelled"}
TOO_MANY = 999
# What a customer does, how often of a hundred, and the card they pay with.
COURSES: tuple[tuple[str, int, str], ...] = (
    ("buys", 32, "tok_ok"),
    ("buys and follows", 10, "tok_ok"),
    ("repeats the request", 12, "tok_ok"),
    ("waits for the answer", 5, "tok_ok"),
    ("uses the key for something else", 2, "tok_ok"),
    ("is declined and pays again", 7, "tok_declined"),
    ("is declined and leaves", 2, "tok_insufficient_funds"),
    ("cancels at once", 8, "tok_ok"),
    ("cancels a paid order", 7, "tok_ok"),
    ("wants too many", 2, "tok_ok"),
    ("leaves the provider in doubt, paid", 3, "tok_timeout"),
    ("leaves the provider in doubt, unpaid", 3, "tok_timeout_unpaid"),
    ("pays at a provider that fails twice", 3, "tok_processing_error"),
    ("pays slowly", 2, "tok_slow"),
    ("is told of three times", 2, "tok_duplicate_webhook"),
)


class Customer:
    """One closed loop: an order, a short pause, the next. What follows from an order goes on beside it."""

    def __init__(self, person: Person, skus: list[str]) -> None:
        self._person = person
        self._skus = skus
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._acts: dict[str, Callable[[Order, str, Order], Awaitable[None]]] = {
            "buys and follows": self._follow,
            "repeats the request": self._repeat,
            "uses the key for something else": self._misuse,
            "is declined and pays again": self._pay_again,
            "cancels at once": self._cancel,
            "cancels a paid order": self._cancel_paid,
        }

    @property
    def _random(self) -> Random:
        return self._person.random

    @property
    def _ledger(self) -> Ledger:
        return self._person.ledger

    async def run(self, until: float) -> None:
        """Orders until that moment of the monotonic clock; what the last ones led to is followed to its end."""
        orders = 0
        async with asyncio.TaskGroup() as sequels:
            while time.monotonic() < until:
                await self._bear(self._order(sequels))
                orders += 1
                if orders % ORDERS_A_SESSION == 0:
                    await self._bear(self._person.sign_in())
                await asyncio.sleep(self._random.expovariate(1 / PAUSE))

    async def _bear(self, act: Awaitable[None]) -> None:
        try:
            await act
        except GivenUp as request:
            self._ledger.contradict("nobody answered for 90 s", request=str(request))

    async def _sequel(self, act: Awaitable[None]) -> None:
        async with self._at_once:
            await self._bear(act)

    async def _order(self, sequels: asyncio.TaskGroup) -> None:
        names, shares, cards = zip(*COURSES, strict=True)
        [course] = self._random.choices(range(len(names)), shares)
        name, body, key = names[course], self._body(names[course], cards[course]), a_key(self._random)
        answer = await self._person.post(PLACE, body, key=key, wait=3 if name == "waits for the answer" else 0)
        if answer.is_error:
            self._ledger.contradict("an order was refused", status=answer.status_code, answer=answer.text)
            return
        self._ledger.tell(order := answer.json(), key)
        self._ledger.acts[name] += 1
        if act := self._acts.get(name):
            sequels.create_task(self._sequel(act(order, key, body)))

    def _body(self, course: str, card: str) -> Order:
        random = self._random
        skus = random.sample(self._skus, random.choice((1, 1, 2, 3)))
        lines = [{"sku": sku, "quantity": random.randint(1, 3)} for sku in skus]
        if course == "wants too many":
            lines[-1]["quantity"] = TOO_MANY
        return {**AN_ORDER, "lines": lines, "payment": {"token": card}}

    async def _repeat(self, order: Order, key: str, body: Order) -> None:
        answer = await self._person.post(PLACE, body, key=key)
        if answer.is_error or answer.json()["id"] != order["id"]:
            seen = {"key": key, "first": order["id"], "again": answer.text}
            self._ledger.contradict("one key, two answers", **seen)

    async def _misuse(self, order: Order, key: str, body: Order) -> None:
        other = {**body, "lines": [{"sku": body["lines"][0]["sku"], "quantity": 7}]}
        answer = await self._person.post(PLACE, other, key=key)
        if not answer.is_error or answer.json()["code"] != "idempotency_key_reused":
            self._ledger.contradict("one key, two orders", key=key, first=order["id"], again=answer.text)

    async def _follow(self, order: Order, _key: str, _body: Order) -> None:
        await self._settled(order)

    async def _cancel(self, order: Order, _key: str, _body: Order) -> None:
        await self._person.post(f"/orders/{order['id']}/cancel")

    async def _cancel_paid(self, order: Order, _key: str, _body: Order) -> None:
        if (await self._settled(order))["status"] in PAID:
            await self._person.post(f"/orders/{order['id']}/cancel")

    async def _pay_again(self, order: Order, _key: str, _body: Order) -> None:
        if (await self._settled(order))["payment_status"] == "failed":
            key = a_key(self._random)
            await self._person.post(f"/orders/{order['id']}/payments", {"token": "tok_ok"}, key=key)

    async def _settled(self, order: Order) -> Order:
        """The order when it waits for nobody but its customer, or after a while."""
        until = time.monotonic() + FOLLOWED_FOR
        while not _is_at_rest(order) and time.monotonic() < until:
            await asyncio.sleep(LOOKS_EACH)
            seen = await self._person.get(f"/orders/{order['id']}")
            if seen is None:
                self._ledger.contradict("an order that was told is not found", order=order["id"])
                return order
            order = seen
        return order


def _is_at_rest(order: Order) -> bool:
    waits = order["status"] == "awaiting_payment" and order["payment_status"] == "failed"
    return order["status"] in AT_REST or waits
