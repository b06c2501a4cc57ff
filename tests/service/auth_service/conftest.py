"""auth_service at work on a real PostgreSQL, asked over HTTP as clients and neighbours ask it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp

from auth_service.accounts import create_user
from auth_service.main import service
from auth_service.settings import Settings
from chassis.api import api
from chassis.app import Parts, opened, parts_of
from chassis.tasks import running
from contracts.types import Role
from tests.support.auth_service import PASSWORD
from tests.support.database import a_copy
from tests.support.neighbours import EDGE_KEY, coming

TABLES = ("users", "sessions", "refresh_tokens", "api_keys", "identities", "tries", "outbox", "security_events")


@dataclass
class SignedIn:
    """A user with the answer to their last sign-in or refresh."""

    user: dict[str, Any]
    tokens: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}


class Shop:
    """The service with its pipeline at work."""

    def __init__(self, parts: Parts, edge: ASGIApp, http: httpx2.AsyncClient) -> None:
        self.parts = parts
        self.edge = edge
        self.http = http

    async def register(self, email: str = "ann@shop.test", **given: object) -> httpx2.Response:
        body = {"email": email, "password": PASSWORD, **given}
        return await self.http.post("/api/v1/auth/register", json=body)

    async def login(self, email: str = "ann@shop.test", password: str = PASSWORD) -> httpx2.Response:
        return await self.http.post("/api/v1/auth/login", json={"email": email, "password": password})

    async def refresh(self, token: str) -> httpx2.Response:
        return await self.http.post("/api/v1/auth/refresh", json={"refresh_token": token})

    async def customer(self, email: str = "ann@shop.test") -> SignedIn:
        return SignedIn((await self.register(email)).json(), (await self.login(email)).json())

    async def admin(self) -> SignedIn:
        await create_user(self.parts.pipeline, "root@shop.test", PASSWORD, Role.ADMIN)
        return SignedIn({}, (await self.login("root@shop.test")).json())

    async def sql(self, statement: str, *arguments: object) -> list[tuple[object, ...]]:
        async with self.parts.database.transaction() as tx:
            return [tuple(row) for row in await tx.sql(statement, *arguments)]


def a_service(database: str, peers: dict[str, httpx2.AsyncClient]) -> Parts:
    secrets = {"database_url": database, "broker_url": "amqp://nowhere", "edge_key": EDGE_KEY}
    return parts_of(service, Settings(**secrets, profile="local"), peers)


@asynccontextmanager
async def at_work(database: str) -> AsyncIterator[Shop]:
    peers: dict[str, httpx2.AsyncClient] = {}
    parts = a_service(database, peers)
    app = api(parts)
    edge = httpx2.ASGITransport(app=app)
    async with (
        httpx2.AsyncClient(transport=edge, base_url="http://shop") as http,
        opened(parts),
        running(parts.pipeline.run()),
    ):
        auth = coming("notification_service", "auth_service")
        async with httpx2.AsyncClient(transport=edge, base_url="http://auth", auth=auth) as peer:
            peers["auth_service"] = peer
            yield Shop(parts, app, http)
        await parts.pipeline.close()


@pytest.fixture(scope="session")
async def database(postgres: str, template: str) -> AsyncIterator[str]:
    """One database for all these tests: emptying it takes less time than a copy for each."""
    async with a_copy(postgres, template) as url:
        yield url


@pytest.fixture
async def shop(database: str) -> AsyncIterator[Shop]:
    async with at_work(database) as shop:
        await shop.sql(f"TRUNCATE {', '.join(f'auth_service.{table}' for table in TABLES)}")
        yield shop


@pytest.fixture
async def another_shop(shop: Shop, database: str) -> AsyncIterator[Shop]:
    """Another process of the service, beside the first one."""
    async with at_work(database) as other:
        yield other
