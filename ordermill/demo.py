"""A shop at work: a fixed mix of orders at a steady rate, each followed to its end, and what became of them."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum, auto
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from ordermill.errors import Failure
from ordermill.launch import AN_ORDER
from ordermill.refusals import Trouble, said

if TYPE_CHECKING:
    from ordermill.client import Caller, Gateway

T = TypeVar("T")
Order = dict[str, Any]

CUSTOMERS = 3
WAITS = 10
FOLLOWED_FOR = 30.0
LOOKS_EACH = 0.2
RETRIES_EACH = 0.5
TOO_MANY = 999
DELIVERY = 500
PAID = {"confirmed", "partially_shipped", "shipped", "delivered"}
TERMINAL = PAID | {"rejected", "cancelled"}


class Course(StrEnum):
    """What a customer does."""

    PAYS = auto()
    REPEATS = auto()
    IS_DECLINED = auto()
    CANCELS_AT_ONCE = auto()
    CANCELS_LATER = auto()
    WANTS_TOO_MANY = auto()
    PAYS_ON_A_BROKEN_LINE = auto()
    IS_LEFT_IN_DOUBT = auto()


# Twenty orders with something else than a plain one at every second place; then it begins again.
MIX = tuple(
    course
    for other in (
        Course.REPEATS, Course.IS_DECLINED, Course.CANCELS_AT_ONCE, Course.PAYS_ON_A_BROKEN_LINE, Course.WANTS_TOO_MANY,
        Course.REPEATS, Course.IS_DECLINED, Course.CANCELS_LATER, Course.IS_LEFT_IN_DOUBT, Course.PAYS,
    )
    for course in (Course.PAYS, other)
)  # fmt: skip
TOKENS = {
    Course.IS_DECLINED: "tok_declined",
    Course.PAYS_ON_A_BROKEN_LINE: "tok_processing_error",
    Course.IS_LEFT_IN_DOUBT: "tok_timeout",
}


@dataclass
class Counts:
    """What was done, and how the placed orders stand: placed = confirmed + rejected + cancelled + open + failed."""

    placed: int = 0
    replayed: int = 0
    declined: int = 0
    paid_again: int = 0
    cancellations: int = 0
    retries: int = 0
    deliveries: int = 0
    confirmed: int = 0
    rejected: int = 0
    cancelled: int = 0
    open: int = 0
    failed: int = 0

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(asdict(self).items())

    def end(self, status: str) -> None:
        """One order less is open, in this status."""
        self.open -= 1
        self.confirmed += status in PAID
        self.rejected += status == "rejected"
        self.cancelled += status == "cancelled"
        self.open += status not in TERMINAL


class Demo:
    """Customers who place orders, and a clerk who has shelves filled that run empty."""

    def __init__(self, skus: list[str], customers: "list[Caller]", clerk: "Caller") -> None:
        self.counts = Counts()
        self.trouble: Failure | None = None
        self._skus = skus
        self._customers = customers
        self._clerk = clerk
        self._filling: set[str] = set()

    @classmethod
    async def of(cls, gateway: "Gateway") -> "Demo":
        """A demo with new customers, in a shop that has products. Raises Failure when it has none."""
        skus = [product["sku"] for product in await gateway.nobody().listed("/products")]
        if not skus:
            cause = "There is nothing to sell."
            raise Failure(cause, "Add products with: ordermill seed")
        customers = [await gateway.demo("customer") for _ in range(CUSTOMERS)]
        return cls(skus, customers, await gateway.demo("staff"))

    async def run(self, rate: float, lasts: float, stop: asyncio.Event) -> None:
        """Place orders until the time is over or `stop` is set, and follow each of them."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as orders:
            for number in count():
                due = number / rate
                if due >= lasts or await _is_set(stop, began + due - time.monotonic()):
                    break
                orders.create_task(self._live(number))

    async def _live(self, number: int) -> None:
        """The life of one order. Its trouble is counted and does not end the others."""
        customer = self._customers[number % len(self._customers)]
        sku, course = self._skus[number % len(self._skus)], MIX[number % len(MIX)]
        try:
            order = await self._placed(customer, sku, course, quantity=1 + number % 3)
        except Failure as failure:
            self.trouble = failure
            self.counts.placed += 1
            self.counts.failed += 1
            return
        self.counts.placed += 1
        self.counts.open += 1
        try:
            order = await self._settled(customer, await self._continued(customer, course, order))
            self.counts.end(order["status"])
            await self._fill(course, order)
        except Failure as failure:
            self.trouble = failure
            self.counts.open -= 1
            self.counts.failed += 1

    async def _placed(self, customer: "Caller", sku: str, course: Course, quantity: int) -> Order:
        asked = TOO_MANY if course is Course.WANTS_TOO_MANY else quantity
        token = TOKENS.get(course, "tok_ok")
        body = {**AN_ORDER, "lines": [{"sku": sku, "quantity": asked}], "payment": {"token": token}}
        key, wait = secrets.token_hex(16), 0 if course is Course.CANCELS_AT_ONCE else WAITS
        answer = await self._insist(lambda: customer.post("/orders", body, key=key, wait=wait))
        if course is Course.REPEATS:
            answer = await self._insist(lambda: customer.post("/orders", body, key=key))
            self.counts.replayed += answer.headers.get("Idempotent-Replayed") == "true"
        order: Order = said(answer)
        return order

    async def _continued(self, customer: "Caller", course: Course, order: Order) -> Order:
        """The order after what its customer does next."""
        if course in {Course.IS_DECLINED, Course.CANCELS_LATER}:
            order = await self._settled(customer, order)
        if course is Course.IS_DECLINED and order["payment_status"] == "failed":
            return await self._paid_again(customer, order)
        if course in {Course.CANCELS_AT_ONCE, Course.CANCELS_LATER}:
            return await self._cancelled(customer, order)
        return order

    async def _paid_again(self, customer: "Caller", order: Order) -> Order:
        self.counts.declined += 1
        path, key = f"/orders/{order['id']}/payments", secrets.token_hex(16)
        answer = await self._insist(lambda: customer.post(path, {"token": "tok_ok"}, key=key))
        self.counts.paid_again += 1
        paid: Order = said(answer)
        return paid

    async def _cancelled(self, customer: "Caller", order: Order) -> Order:
        try:
            answer = await self._insist(lambda: customer.post(f"/orders/{order['id']}/cancel"))
        except Trouble as trouble:
            if trouble.problem == "order_not_cancellable":  # It was rejected, or shipped, before.
                return order
            raise
        self.counts.cancellations += 1
        cancelled: Order = said(answer)
        return cancelled

    async def _settled(self, customer: "Caller", order: Order) -> Order:
        """The order when the shop has done with it, or after a while."""
        until, path = time.monotonic() + FOLLOWED_FOR, f"/orders/{order['id']}"
        while not _is_settled(order) and time.monotonic() < until:
            await asyncio.sleep(LOOKS_EACH)
            order = await self._insist(lambda: customer.get(path))
        return order

    async def _fill(self, course: Course, order: Order) -> None:
        """Have a shelf filled that ran empty: a long demo shall not end as a queue of rejections."""
        sku = order["lines"][0]["sku"]
        if order["status"] != "rejected" or course is Course.WANTS_TOO_MANY or sku in self._filling:
            return
        self._filling.add(sku)
        body, key = {"delta": DELIVERY, "reason": "received"}, secrets.token_hex(16)
        await self._insist(lambda: self._clerk.post(f"/stock/{sku}/adjustments", body, key=key))
        self._filling.discard(sku)
        self.counts.deliveries += 1

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer, asked for again, with the same key, while the shop is away for a moment."""
        until = time.monotonic() + FOLLOWED_FOR
        while True:
            try:
                return await ask()
            except Trouble as trouble:
                if not trouble.retryable or time.monotonic() > until:
                    raise
            self.counts.retries += 1
            await asyncio.sleep(RETRIES_EACH)


def _is_settled(order: Order) -> bool:
    return order["status"] in TERMINAL or (
        order["status"] == "awaiting_payment" and order["payment_status"] == "failed"
    )


async def _is_set(stop: asyncio.Event, within: float) -> bool:
    try:
        await asyncio.wait_for(stop.wait(), max(0.0, within))
    except TimeoutError:
        return False
    return True
