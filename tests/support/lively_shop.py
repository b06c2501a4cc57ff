"""The whole shop in one process on one database, without a broker: real edges, pipelines, consumers and loops.

Parcels go from each outbox to every listener's consumer, now and then twice. Time passes only where a story says so.
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import httpx2

from chassis.api import api
from chassis.app import Parts, parts_of
from chassis.consumer import Consumer
from chassis.decisions import Cause
from chassis.ids import new_id, parse_typeid, typeid
from chassis.outbox import Told
from chassis.tokens import Caller, Role, issue
from chassis.worker import retry_deferred
from contracts.event import Event
from ordermill.services import SERVICES, load
from payment_service import charging, webhooks
from payment_service.domain.answer import ProviderAnswered
from payment_service.domain.payment import Answer, Outcome
from tests.support.database import as_role
from tests.support.eventually import eventually
from tests.support.neighbours import EDGE_KEY, coming

ADDRESS = {"name": "Ada", "line1": "1 Mill Lane", "city": "Bonn", "postal_code": "53111", "country": "DE"}
SECRET = "whsec_c2VjcmV0"
SCALE = 0.001


@dataclass(eq=False)
class LivelyShop:
    """Everything of it; ``orders`` are the orders by what happened to them, ``told`` what clients were told."""

    url: str
    parts: Mapping[str, Parts]
    http: Mapping[str, httpx2.AsyncClient]
    consumers: Mapping[str, Consumer]
    owner: asyncpg.Connection
    customer: UUID
    random: Random = field(default_factory=lambda: Random(7))  # noqa: S311 -- chance is no secret here
    orders: dict[str, UUID] = field(default_factory=dict)
    told: list[tuple[UUID, UUID, str]] = field(default_factory=list)
    poisoned: tuple[UUID, ...] = field(default_factory=lambda: (new_id(), new_id()))

    async def sql(self, text: str, *arguments: Any) -> list[Any]:
        """As the owner of the database."""
        return await self.owner.fetch(text, *arguments)

    # --- over HTTP

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: Role = Role.STAFF,
        user: UUID | None = None,
        key: Any = None,
    ) -> Any:
        first = path.split("/")[1]
        service = {"products": "inventory", "stock": "inventory", "tasks": "inventory", "shipments": "inventory",
                   "returns": "inventory", "orders": "order", "payments": "payment", "auth": "auth"}[first]  # fmt: skip
        caller = Caller(user or (self.customer if role is Role.CUSTOMER else new_id()), role, new_id())
        pair = await self.parts["auth_service"].own.keys.signer()
        token = issue(pair, caller, issuer=self.parts["auth_service"].settings.issuer, now=time.time())
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(key or new_id())}
        answer = await self.http[f"{service}_service"].request(method, f"/api/v1{path}", json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def place(
        self, name: str, *lines: tuple[str, int], token: str | None = "tok_ok", user: UUID | None = None
    ) -> UUID:
        key = str(new_id())
        body = {
            "lines": [
                {"sku": sku, "quantity": quantity} for sku, quantity in lines or (("MUG-RED", 2), ("TEA-GREEN", 1))
            ],
            "shipping_address": ADDRESS,
            **({"payment": {"token": token}} if token else {}),
        }
        for _ in range(2):
            order = await self.call("POST", "/orders", body, role=Role.CUSTOMER, user=user, key=key)
            self.told.append((parse_typeid("ord", order["id"]), user or self.customer, key))
        self.orders[name] = self.told[-1][0]
        return self.orders[name]

    async def cancel(self, name: str) -> None:
        await self.call("POST", f"/orders/{typeid('ord', self.orders[name])}/cancel", role=Role.CUSTOMER)

    async def pay(self, name: str, token: str) -> None:
        path = f"/orders/{typeid('ord', self.orders[name])}/payments"
        await self.call("POST", path, {"token": token}, role=Role.CUSTOMER)

    async def refund(self, name: str, amount: int) -> None:
        body = {"amount": {"amount": amount, "currency": "EUR"}, "reason": "sorry"}
        await self.call("POST", f"/orders/{typeid('ord', self.orders[name])}/refunds", body)

    async def ship(self, name: str, most: int = 9) -> list[UUID]:
        """Completes up to so many of the order's tasks; the ids of its shipments."""
        tasks = await self.sql(
            """SELECT id FROM inventory_service.tasks WHERE order_id = $1 AND status = 'pending'
               ORDER BY warehouse LIMIT $2""",
            self.orders[name],
            most,
        )
        for task in tasks:
            await self.call(
                "POST", f"/tasks/{typeid('tsk', task['id'])}/complete", {"carrier": "DHL", "tracking_number": "JD01"}
            )
        rows = await self.sql(
            """SELECT s ->> 'id' AS id FROM inventory_service.reservations, jsonb_array_elements(shipments) s
               WHERE order_id = $1""",
            self.orders[name],
        )
        return [UUID(row["id"]) for row in rows]

    async def deliver(self, shipments: list[UUID]) -> None:
        for shipment in shipments:
            await self.call("POST", f"/shipments/{typeid('shp', shipment)}/delivery")

    async def take_back(self, name: str, sku: str, quantity: int, restocked: int) -> None:
        lines = [{"sku": sku, "quantity": quantity, "restocked": restocked}]
        await self.call("POST", "/returns", {"order_id": typeid("ord", self.orders[name]), "lines": lines})

    # --- what happens by itself

    async def carry(self, *, shuffled: bool = False) -> None:
        """Brings what waits in the outboxes to every listener, now and then twice, until nothing waits any more."""

        async def nothing_waits() -> bool:
            rows = [(service, row) for service in SERVICES for row in await self._unpublished(service)]
            if shuffled:
                self.random.shuffle(rows)
            for service, row in rows:
                await self._publish(service, row)
            for parts in self.parts.values():
                await retry_deferred(parts)
            return not rows and not await self._deferred()

        await eventually(nothing_waits)

    async def _deferred(self) -> list[Any]:
        deferred = " UNION ALL ".join(f"SELECT 1 FROM {name}.deferred WHERE state = 'deferred'" for name in SERVICES)  # noqa: S608 -- our own words
        return await self.sql(deferred)

    async def _unpublished(self, service: str) -> list[Any]:
        return await self.sql(f"SELECT * FROM {service}.outbox WHERE published_at IS NULL ORDER BY id")  # noqa: S608 -- our own words

    async def _publish(self, service: str, row: Any) -> None:
        await self.sql(f"UPDATE {service}.outbox SET published_at = now() WHERE id = $1", row["id"])  # noqa: S608 -- our own words
        for listener, consumer in self.consumers.items():
            if row["topic"] in self.parts[listener].work.decisions.topics:
                for _ in range(1 + (self.random.random() < 0.2)):
                    came_back = self.random.random() < 0.1
                    body = row["events"].encode()
                    await consumer.settle(str(row["id"]), row["topic"], body, redelivered=came_back)

    async def settle(self, *, shuffled: bool = False) -> None:
        """Until nothing happens by itself any more."""
        payments, orders = self.parts["payment_service"], self.parts["order_service"]

        async def nothing_happens() -> bool:
            await self.carry(shuffled=shuffled)
            await charging.step(payments)
            await eventually(lambda: not payments.own.out)
            for step in (webhooks.tell_step, webhooks.apply_step):
                await step(payments)
            await orders.service.loops[0].step(orders)
            return not await self._asks() and not any([await self._unpublished(service) for service in SERVICES])

        await eventually(nothing_happens, within=120)

    async def _asks(self) -> list[Any]:
        """The calls to the provider that are to be made within the hour."""
        soon = "due_at < now() + interval '1 hour'"
        return await self.sql(
            f"""SELECT 1 FROM payment_service.payment_attempts WHERE status IN ('processing', 'unknown') AND {soon}
                UNION ALL
                SELECT 1 FROM payment_service.refunds WHERE status IN ('requested', 'sent', 'unknown') AND {soon}"""  # noqa: S608 -- our own words
        )

    async def answer(self, name: str, outcome: Outcome = Outcome.UNKNOWN) -> None:
        """The provider's answer to the order's charge that is under way; silent for a day, unless it says something."""
        [(key,)] = await self.sql(
            """SELECT key FROM payment_service.payment_attempts
               WHERE order_id = $1 AND status IN ('processing', 'unknown')""",
            self.orders[name],
        )
        said = Answer(outcome=outcome, again_after=timedelta(days=1))
        command = ProviderAnswered(order_id=self.orders[name], key=key, answer=said)
        await self.parts["payment_service"].pipeline.submit(command, actor="provider")

    async def tell(self, service: str, event: Event) -> None:
        """Something that no decision tells yet."""
        parts = self.parts[service]
        async with parts.database.transaction() as tx:
            [(now,)] = await tx.sql("SELECT now()")
            await parts.work.outbox.add(tx, [Told(event, Cause(new_id(), now, "system", "req_1"), 0, 1)])

    async def send_mails(self) -> None:
        parts = self.parts["notification_service"]
        while await parts.service.loops[0].step(parts):
            pass


@asynccontextmanager
async def a_lively_shop(url: str) -> AsyncIterator[LivelyShop]:
    """Opens it on a database with every schema, whose roles have the password `test`."""
    own = {
        "payment_service": {
            "provider_database_url": as_role(url, "provider"),
            "webhook_secret": SECRET,
            "provider_key": "shown to nobody here",
            "simulator_scale": SCALE,
        },
        "notification_service": {"mail_channel": "null"},
    }
    peers: dict[str, dict[str, httpx2.AsyncClient]] = {name: {} for name in SERVICES}
    given = {"broker_url": "amqp://nowhere", "edge_key": EDGE_KEY, "profile": "local", "database_connections": 2}
    parts = {
        name: parts_of(
            load(name), load(name).settings(database_url=as_role(url, name), **given, **own.get(name, {})), peers[name]
        )
        for name in SERVICES
    }
    http: dict[str, httpx2.AsyncClient] = {}
    async with AsyncExitStack() as stack:
        for name, each in parts.items():
            transport = httpx2.ASGITransport(api(each))
            http[name] = await stack.enter_async_context(
                httpx2.AsyncClient(transport=transport, base_url=f"http://{name}")
            )
            for asking in SERVICES:
                auth = coming(asking, name)
                client = httpx2.AsyncClient(transport=transport, base_url=f"http://{name}", auth=auth)
                peers[asking][name] = await stack.enter_async_context(client)
        for each in http.values():
            app = each._transport.app
            await stack.enter_async_context(app.router.lifespan_context(app))
        owner = await asyncpg.connect(url)
        stack.push_async_callback(owner.close)
        consumers = {
            name: Consumer(name, "amqp://nowhere", each.database, each.pipeline, each.work)
            for name, each in parts.items()
        }
        yield LivelyShop(url, parts, http, consumers, owner, new_id())
