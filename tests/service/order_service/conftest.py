"""order_service on a real PostgreSQL: its edge, its pipeline, and callers of each role."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import httpx2
import pytest

from chassis.api import api
from chassis.app import Parts, parts_of
from chassis.ids import new_id, parse_typeid
from chassis.tokens import Caller, KeyPair, Role, Verifier, issue
from contracts.event import Event
from contracts.types import OrderId
from order_service.main import service
from order_service.settings import Settings
from tests.support.database import a_copy
from tests.support.envelopes import enveloped
from tests.support.neighbours import EDGE_KEY
from tests.support.order_service import TEA, upserted

PAIR = KeyPair.new()
TABLES = "orders, order_history, products, outbox, inbox, deferred, idempotency"
ADDRESS = {"name": "Ada", "line1": "1 Mill Lane", "city": "Bonn", "postal_code": "53111", "country": "DE"}
LINES = [{"sku": "MUG-RED", "quantity": 2}, {"sku": "TEA-GREEN", "quantity": 1}]
BODY = {"lines": LINES, "shipping_address": ADDRESS, "payment": {"token": "tok_ok"}}


async def _jwks() -> dict[str, object]:
    return {"keys": [dict(PAIR.public_jwk)]}


def _available(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, json={"available": {"MUG-RED": 7, "TEA-GREEN": 0}})


@dataclass(frozen=True)
class Orders:
    """The running service, and one customer of it."""

    http: httpx2.AsyncClient
    parts: Parts
    customer: UUID

    def headers(self, role=Role.CUSTOMER, customer=None, **more) -> dict[str, str]:
        user = (customer or self.customer) if role is Role.CUSTOMER else new_id()
        token = issue(PAIR, Caller(user, role, new_id()), issuer=self.parts.settings.issuer, now=time.time())
        return {"Authorization": f"Bearer {token}", "Idempotency-Key": str(new_id()), **more}

    async def call(self, method, path, *, status=200, role=Role.CUSTOMER, json=None, customer=None, **more):
        given = {name.replace("_", "-"): value for name, value in more.items()}
        headers = self.headers(role, customer, **given)
        response = await self.http.request(method, f"/api/v1{path}", json=json, headers=headers)
        assert response.status_code == status, response.text
        return response

    async def place(self, *, customer=None, **given) -> OrderId:
        answer = await self.call("POST", "/orders", json=BODY | given, customer=customer, status=201)
        return OrderId(parse_typeid("ord", answer.json()["id"]))

    async def hear(self, *facts: Event) -> None:
        """Settles one parcel with these facts, which are of one type."""
        await self.parts.pipeline.handle(new_id(), [enveloped(fact) for fact in facts])

    async def rows(self, sql: str, *arguments) -> list[tuple]:
        async with self.parts.database.transaction() as tx:
            return [tuple(row) for row in await tx.sql(sql, *arguments)]

    async def told(self) -> list[str]:
        """The topics of all events in the order in which they were told."""
        rows = await self.rows("SELECT topic, count FROM order_service.outbox ORDER BY id")
        return [topic for topic, count in rows for _ in range(count)]


@pytest.fixture(scope="session")
async def orders_database(postgres, template) -> AsyncIterator[str]:
    """One database for all tests here: each begins by emptying the tables, which is faster than a copy for each."""
    async with a_copy(postgres, template) as url:
        yield url


@pytest.fixture
async def orders(orders_database) -> AsyncIterator[Orders]:
    owner = await asyncpg.connect(orders_database)
    await owner.execute("TRUNCATE " + ", ".join(f"order_service.{name.strip()}" for name in TABLES.split(",")))
    await owner.close()
    settings = Settings(database_url=orders_database, broker_url="amqp://nowhere", edge_key=EDGE_KEY)
    inventory = httpx2.AsyncClient(transport=httpx2.MockTransport(_available), base_url="http://inventory")
    parts = parts_of(service, settings, {"inventory_service": inventory})
    parts.verifier = Verifier(_jwks, issuer=settings.issuer)
    app = api(parts)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://orders") as http,
    ):
        running = Orders(http, parts, new_id())
        await running.hear(upserted(), upserted(TEA, price=499))
        yield running
