"""The whole shop in one process behind its real door: the gateway's own checks, and those of each service's edge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2
from starlette.types import ASGIApp

from auth_service.accounts import create_user
from contracts.types import Role
from gateway.main import app
from gateway.settings import Settings
from tests.support.lively_shop import LivelyShop, a_lively_shop
from tests.support.people import PASSWORD, Person, a_key, logged_in

# Of those whose programs are many here, who makes a hundred keys in a day would be refused the next one.
_A_DAY_AGO = """
    UPDATE auth_service.api_keys SET created_at = created_at - interval '1 day'
    WHERE revoked_at IS NOT NULL AND created_at > now() - interval '1 day'
"""


@dataclass(eq=False)
class GuardedShop:
    """``lively`` is what stands behind the door, ``services`` the edges of the services, by name."""

    lively: LivelyShop
    door: ASGIApp
    services: dict[str, ASGIApp]
    client: httpx2.AsyncClient

    async def document(self) -> dict[str, Any]:
        """The merged OpenAPI document, as a client reads it."""
        told: dict[str, Any] = (await self.client.get("http://shop.example/openapi.json")).raise_for_status().json()
        return told

    async def somebody(self, role: Role = Role.CUSTOMER) -> Person:
        """Somebody new with that role, signed in."""
        email = f"{role}-{uuid4().hex[:12]}@shop.test"
        await create_user(self.lively.parts["auth_service"].pipeline, email, PASSWORD, role)
        return await logged_in(self.client, email, PASSWORD)

    @asynccontextmanager
    async def with_key(self, owner: Person, *scopes: str) -> AsyncIterator[Person]:
        """A program that has an API key of this person's, who may have twenty at a time. It was made a day ago then."""
        body = {"name": "program", "scopes": list(scopes)}
        key = (await owner.post("/auth/api-keys", body)).raise_for_status().json()
        yield Person(self.client, owner.email, key["api_key"])
        (await self.client.delete(f"/auth/api-keys/{key['id']}", headers=owner.authorized)).raise_for_status()
        async with self.lively.parts["auth_service"].database.transaction() as tx:
            await tx.sql(_A_DAY_AGO)

    async def product(self, staff: Person, stock: int = 1_000) -> str:
        """The sku of a new product that can be ordered."""
        sku = f"TEST-{uuid4().hex[:12].upper()}"
        product = {"sku": sku, "name": f"Product {sku}", "price": {"amount": 1000, "currency": "EUR"}}
        (await staff.post("/products", product)).raise_for_status()
        received = {"delta": stock, "reason": "received"}
        (await staff.post(f"/stock/{sku}/adjustments", received, **{"Idempotency-Key": a_key()})).raise_for_status()
        await self.lively.settle()
        return sku


def reached(app: ASGIApp, base_url: str = "http://shop.example/api/v1") -> httpx2.AsyncClient:
    """A client of an application in this process, with nothing in its hands."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=base_url)


@asynccontextmanager
async def a_guarded_shop(url: str) -> AsyncIterator[GuardedShop]:
    """Opens it on a database with every schema, whose roles have the password `test`. Nobody is limited."""
    async with a_lively_shop(url) as lively:
        services = {name: http._transport.app for name, http in lively.http.items()}
        door = app(services, settings=Settings(profile="local", rate_limits="off"))
        async with reached(door) as client:
            yield GuardedShop(lively, door, services, client)
