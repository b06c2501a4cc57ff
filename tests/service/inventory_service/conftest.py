"""inventory_service on a real PostgreSQL: its edge, its pipeline, and callers of each role."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import pytest

from chassis.api import api
from chassis.app import Parts, opened, parts_of
from chassis.ids import new_id
from chassis.tasks import running
from chassis.tokens import Caller, KeyPair, Role, Verifier, issue
from contracts.event import Event
from inventory_service.main import service
from inventory_service.settings import Settings
from tests.support.envelopes import enveloped
from tests.support.neighbours import EDGE_KEY

PAIR = KeyPair.new()


async def _jwks() -> dict[str, object]:
    return {"keys": [dict(PAIR.public_jwk)]}


@dataclass(frozen=True)
class Inventory:
    """The running service."""

    http: httpx2.AsyncClient
    parts: Parts

    def headers(self, role=Role.STAFF, **more) -> dict[str, str]:
        caller = Caller(new_id(), role, new_id())
        token = issue(PAIR, caller, issuer=self.parts.settings.issuer, now=time.time())
        return {"Authorization": f"Bearer {token}", "Idempotency-Key": str(new_id()), **more}

    async def call(self, method, path, *, status=200, role=Role.STAFF, json=None, **more):
        prefix = "" if path.startswith("/internal") else "/api/v1"
        headers = self.headers(role, **{name.replace("_", "-"): value for name, value in more.items()})
        response = await self.http.request(method, prefix + path, json=json, headers=headers)
        assert response.status_code == status, response.text
        return response

    async def hear(self, *facts: Event, parts: Parts | None = None) -> None:
        """Settles one parcel with these facts, which are of one type."""
        await (parts or self.parts).pipeline.handle(new_id(), [enveloped(fact) for fact in facts])

    async def stocked(self, sku="MUG-RED", on_hand=5) -> None:
        body = {"sku": sku, "name": sku.title(), "price": {"amount": 1299, "currency": "EUR"}}
        await self.call("POST", "/products", json=body, status=201)
        delivery = {"delta": on_hand, "reason": "received"}
        await self.call("POST", f"/stock/{sku}/adjustments", json=delivery, status=201)

    @asynccontextmanager
    async def another_worker(self) -> AsyncIterator[Parts]:
        """The parts of a second worker on the same database."""
        parts = parts_of(service, self.parts.settings, {})
        async with opened(parts), running(parts.pipeline.run()):
            yield parts
            await parts.pipeline.close()

    async def rows(self, sql: str) -> list[tuple]:
        async with self.parts.database.transaction() as tx:
            return [tuple(row) for row in await tx.sql(sql)]

    async def told(self) -> list[str]:
        """The topics of all events in the order in which they were told."""
        return [
            t
            for t, n in await self.rows("SELECT topic, count FROM inventory_service.outbox ORDER BY id")
            for _ in range(n)
        ]


@pytest.fixture
async def inventory(shop_database) -> AsyncIterator[Inventory]:
    settings = Settings(database_url=shop_database, broker_url="amqp://nowhere", edge_key=EDGE_KEY)
    parts = parts_of(service, settings, {})
    parts.verifier = Verifier(_jwks, issuer=settings.issuer)
    app = api(parts)
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://inventory") as http,
    ):
        yield Inventory(http, parts)
