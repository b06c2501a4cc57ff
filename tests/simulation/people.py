"""Customers and staff: they ask again when nobody answers, change their minds, and do what only people can do."""

import asyncio
from collections.abc import Awaitable, Callable
from json import loads
from typing import Any
from uuid import UUID

import asyncpg

from chassis.app import Parts
from chassis.database import CONFLICT, OUTAGE
from chassis.idempotency import KeyInUse
from chassis.ids import parse_typeid, typeid
from chassis.items import Unavailable
from chassis.problems import Problem
from chassis.tokens import Caller
from contracts.types import OrderId, Role
from inventory_service.main import service as inventory_service
from inventory_service.routes.shipping import receive_return, record_delivery
from inventory_service.routes.tasks import complete_task
from inventory_service.schemas import ReturnCreate
from order_service.main import service as order_service
from order_service.routes import cancel_order, create_order, pay_order, refund_order
from order_service.schemas import OrderCreate, PaymentGiven, RefundCreate
from payment_service.domain.notice import ReceiveNotice
from payment_service.domain.payment import Answer, Held
from payment_service.domain.resolution import Resolution
from payment_service.main import service as payment_service
from payment_service.providers import outcome_of
from payment_service.routes import create_payment, resolve_payment
from payment_service.schemas import PaymentCreate, PaymentResolve
from tests.simulation.faults import NONE
from tests.simulation.shop import Shop, edge

UNKNOWN_FATE = (ConnectionError, TimeoutError, Unavailable, KeyInUse, asyncpg.QueryCanceledError, *OUTAGE, *CONFLICT)
REFUSALS = (Problem, *order_service.refusals, *inventory_service.refusals, *payment_service.refusals)
ADDRESS = {"name": "A. Customer", "line1": "Mill Lane 1", "city": "Mühldorf", "postal_code": "84453", "country": "DE"}
TOKENS = ("tok_ok", "tok_ok", "tok_ok", "tok_ok", "tok_declined", "tok_poor", None)
TRIES = 40
STAFF = 3


class People:
    """Everybody outside: what they asked, and what they were told."""

    def __init__(self, shop: Shop, orders: int) -> None:
        self.shop = shop
        self.world = shop.world
        self.rng = shop.world.rng
        self.told: dict[tuple[UUID, str], UUID] = {}
        self.waiting = orders
        self.staff = Caller(self._id(), Role.STAFF, self._id())
        self.orders = orders

    def _id(self) -> UUID:
        return UUID(int=self.rng.getrandbits(128), version=4)

    def open(self) -> None:
        self.world.loop.start("people", self._everybody)

    async def _everybody(self) -> None:
        customers = [Caller(self._id(), Role.CUSTOMER, self._id()) for _ in range(3)]
        orders = [self._order(self.rng.choice(customers), f"key-{n}") for n in range(self.orders)]
        await asyncio.gather(*(self._work() for _ in range(STAFF)), *orders)

    async def _until_answered(self, service: str, call: Callable[[Parts], Awaitable[Any]]) -> Any:
        """The answer, or the refusal; asked again until there is one. None when they lose their patience."""
        for _ in range(TRIES):
            try:
                return await self.shop.ask(service, call)
            except UNKNOWN_FATE:
                await asyncio.sleep(self.rng.uniform(0.1, 3))
            except REFUSALS as refusal:
                return refusal
            except Exception as failure:  # noqa: BLE001 -- answered 500
                self.world.broken(f"a request is answered 500: {failure!r}")
        return None

    # --- customers

    async def _order(self, customer: Caller, key: str) -> None:
        await asyncio.sleep(self.rng.uniform(0, self.world.times.orders_over))
        token = self.rng.choice(TOKENS)
        skus = self.rng.sample(self.shop.skus, self.rng.choice((1, 1, 2)))
        lines = [{"sku": sku, "quantity": self.rng.randint(1, 3)} for sku in skus]
        body = OrderCreate.model_validate(
            {"lines": lines, "shipping_address": ADDRESS, "payment": {"token": token} if token else None}
        )

        async def place(parts: Parts) -> Any:
            return await create_order(body, customer, edge(parts, customer, "/api/v1/orders"), key)

        answer = await self._until_answered("order_service", place)
        if answer is None:
            self.waiting -= 1
            return
        if isinstance(answer, Exception):
            self.world.broken(f"an order is refused: {answer!r}")
            return
        order_id = parse_typeid("ord", loads(answer.body)["id"])
        self._told(customer, key, order_id)
        self.waiting -= 1
        await asyncio.gather(
            self._again(customer, key, place), self._pay(customer, order_id), self._change_mind(customer, order_id)
        )

    def _told(self, customer: Caller, key: str, order_id: UUID) -> None:
        if self.told.setdefault((customer.user_id, key), order_id) != order_id:
            self.world.broken(f"O2: two orders under {key}")

    async def _again(self, customer: Caller, key: str, place: Callable[[Parts], Awaitable[Any]]) -> None:
        if self.rng.random() < 0.3:
            await asyncio.sleep(self.rng.uniform(0, 20))
            answer = await self._until_answered("order_service", place)
            if answer is not None:
                self._told(customer, key, parse_typeid("ord", loads(answer.body)["id"]))

    async def _change_mind(self, customer: Caller, order_id: UUID) -> None:
        if self.rng.random() < 0.4:
            await self._see(order_id, self.rng.choice(("awaiting_payment", "confirmed")))
            await self._cancel(customer, order_id)
        while self.rng.random() < 0.2:
            await asyncio.sleep(self.rng.choice((0.1, 2, 10, 20)) * self.rng.random())
            await self._cancel(customer, order_id)

    async def _see(self, order_id: UUID, status: str) -> None:
        """Or lose patience."""
        pause = self.rng.choice((0.05, 1))
        for _ in range(40):
            if self.shop.row("order_service", "orders", order_id)["status"] == status:
                break
            await asyncio.sleep(self.rng.random() * pause)

    async def _cancel(self, customer: Caller, order_id: UUID) -> None:
        await self._until_answered(
            "order_service", lambda parts: cancel_order(order_id, customer, edge(parts, customer, "/cancel"))
        )

    async def _pay(self, customer: Caller, order_id: UUID) -> None:
        for attempt in range(self.rng.choice((0, 1, 2, 3))):
            await asyncio.sleep(self.rng.uniform(0, self.world.times.pay_by))
            order = self.shop.row("order_service", "orders", order_id)
            token = self.rng.choice(TOKENS[:-1])
            if order["method"] is None:
                await self._give_method(customer, order_id, token, attempt)
            else:
                await self._pay_again(customer, order_id, token, attempt)

    async def _give_method(self, customer: Caller, order_id: UUID, token: str, attempt: int) -> None:
        body, path, key = PaymentCreate(order_id=order_id, token=token), "/api/v1/payments", f"m-{order_id}-{attempt}"
        await self._until_answered(
            "payment_service", lambda parts: create_payment(customer, edge(parts, customer, path), key, body)
        )

    async def _pay_again(self, customer: Caller, order_id: UUID, token: str, attempt: int) -> None:
        body, key = PaymentGiven(token=token), f"p-{order_id}-{attempt}"
        await self._until_answered(
            "order_service", lambda parts: pay_order(order_id, body, customer, edge(parts, customer, "/pay"), key)
        )

    # --- staff

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(self.rng.uniform(0.1, 1))
            deeds = [self._ship, self._deliver, self._take_back, self._be_kind] if self.shop.is_busy else []
            for deed in (*deeds, self._resolve, self._retry_parked):
                await deed()

    def _some(self, service: str, table: str, **given: Any) -> dict[str, Any] | None:
        rows = [
            row for row in self.shop.rows(service, table) if all(row[name] == value for name, value in given.items())
        ]
        return self.rng.choice(rows) if rows and self.rng.random() < 0.7 else None

    async def _ship(self) -> None:
        if task := self._some("inventory_service", "tasks", kind="fulfil", status="pending"):
            await self._until_answered(
                "inventory_service", lambda parts: complete_task(self.staff, edge(parts, self.staff, "/"), task["id"])
            )

    async def _deliver(self) -> None:
        if shipped := self._some("inventory_service", "stock_movements", kind="ship"):
            shipment = shipped["reference"]
            await self._until_answered(
                "inventory_service", lambda parts: record_delivery(self.staff, edge(parts, self.staff, "/"), shipment)
            )

    async def _take_back(self) -> None:
        shipped = self._some("inventory_service", "stock_movements", kind="ship")
        if shipped and self.rng.random() < 0.3:
            back = {"sku": shipped["sku"], "quantity": 1, "restocked": self.rng.randint(0, 1)}
            body = ReturnCreate.model_validate({"order_id": typeid("ord", shipped["order_id"]), "lines": [back]})
            key = str(self._id())
            await self._until_answered(
                "inventory_service",
                lambda parts: receive_return(self.staff, edge(parts, self.staff, "/"), body, key),
            )

    async def _be_kind(self) -> None:
        order = self._some("order_service", "orders", status=self.rng.choice(("confirmed", "shipped", "delivered")))
        if order and self.rng.random() < 0.3:
            amount = {"amount": self.rng.randint(1, 500), "currency": "EUR"} if self.rng.random() < 0.7 else None
            body, key = RefundCreate.model_validate({"amount": amount, "reason": "sorry"}), str(self._id())
            await self._until_answered(
                "order_service",
                lambda parts: refund_order(order["id"], body, self.staff, edge(parts, self.staff, "/"), key),
            )

    async def _resolve(self) -> None:
        payment = self._some("payment_service", "payments", status="reversing")
        if payment:
            body, key = PaymentResolve(outcome=Resolution.RETRY, evidence="asked them"), str(self._id())
            await self._until_answered(
                "payment_service",
                lambda parts: resolve_payment(self.staff, edge(parts, self.staff, "/"), key, payment["id"], body),
            )

    async def _retry_parked(self) -> None:
        """What was parked because its process died three times at it, a person lets run again."""
        if self.world.faults is NONE:
            self.shop.retry_parked()

    # --- the provider, which tells by itself

    def hear(self, told: dict[str, Any]) -> None:
        loop, faults = self.world.loop, self.world.faults
        for _ in range(self.rng.choice((0, 1, 1, 2))):
            if not self.world.happens(faults.webhook_lost):
                loop.later(self.rng.uniform(0, 10), lambda: loop.start("a webhook", lambda: self._hook(told)))

    async def _hook(self, told: dict[str, Any]) -> None:
        held = Held(told["amount"], told["currency"])
        answer = Answer(outcome=outcome_of(told["outcome"]), reference=told["reference"], code=told["code"], held=held)
        command = ReceiveNotice(
            provider="simulated",
            event_id=told["event_id"],
            type=told["type"],
            order_id=OrderId(told["order_id"]),
            call_key=told["key"],
            answer=answer,
        )
        await self._until_answered("payment_service", lambda parts: parts.pipeline.submit(command, actor="simulated"))
