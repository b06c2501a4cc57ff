"""notification_service at work: a real PostgreSQL, a real mail server, an auth_service that knows whom it is told."""

import time
from collections.abc import AsyncIterator
from uuid import UUID

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from chassis.api import api
from chassis.app import Parts, opened, parts_of
from chassis.ids import new_id, typeid
from chassis.tasks import running
from chassis.tokens import Caller, KeyPair, Role, issue
from contracts.event import Event
from notification_service.main import service
from notification_service.settings import Settings
from tests.support.database import a_copy
from tests.support.envelopes import enveloped
from tests.support.mailbox import Mailbox, mailbox
from tests.support.neighbours import EDGE_KEY
from tests.support.notification_service import CUSTOMER

ADDRESS = "jane@customer.example"
KEYS = KeyPair.new()


class Auth:
    """auth_service as far as notifications need it: contacts and keys."""

    def __init__(self) -> None:
        self.contacts: dict[str, dict[str, str | None]] = {}
        self.asked = 0
        self.status = 200
        self.app = Starlette(
            routes=[
                Route("/internal/contacts/{user_id}", self.contact),
                Route("/internal/revocations", self.ended),
                Route("/.well-known/jwks.json", self.keys),
            ]
        )

    def knows(self, user_id: UUID, address: str) -> None:
        self.contacts[typeid("usr", user_id)] = {"email": address, "full_name": "Jane", "locale": "en"}

    async def contact(self, request: Request) -> JSONResponse:
        self.asked += 1
        known = self.contacts.get(request.path_params["user_id"])
        return JSONResponse(known or {}, self.status if known else 404)

    async def ended(self, _request: Request) -> JSONResponse:
        return JSONResponse({"ended": []})

    async def keys(self, _request: Request) -> JSONResponse:
        return JSONResponse({"keys": [dict(KEYS.public_jwk)]})


class Shop:
    """The service with its pipeline at work; facts are given to it as the consumer gives them."""

    def __init__(self, parts: Parts, http: httpx2.AsyncClient) -> None:
        self.parts = parts
        self.http = http

    async def hear(self, *facts: Event, event_id: UUID | None = None) -> None:
        for fact in facts:
            await self.parts.pipeline.handle(new_id(), [enveloped(fact, event_id)])

    async def rows(self, columns: str) -> list[tuple[object, ...]]:
        sql = f"SELECT {columns} FROM notification_service.notifications ORDER BY created_at, id"  # noqa: S608
        async with self.parts.database.transaction() as tx:
            return [tuple(row) for row in await tx.sql(sql)]

    async def sql(self, statement: str) -> list[tuple[object, ...]]:
        async with self.parts.database.transaction() as tx:
            return [tuple(row) for row in await tx.sql(statement)]

    def signed_in(self, user_id: UUID = CUSTOMER, role: Role = Role.CUSTOMER) -> dict[str, str]:
        token = issue(KEYS, Caller(user_id, role, new_id()), issuer=self.parts.settings.issuer, now=time.time())
        return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def mails() -> AsyncIterator[Mailbox]:
    async with mailbox() as box:
        yield box


@pytest.fixture
def auth() -> Auth:
    auth = Auth()
    auth.knows(CUSTOMER, ADDRESS)
    return auth


@pytest.fixture(scope="session")
async def notification_database(postgres: str, template: str) -> AsyncIterator[str]:
    """One database for all tests of this folder: emptied for each, which is faster than a copy for each."""
    async with a_copy(postgres, template) as url:
        yield url


@pytest.fixture
def settings(notification_database: str, mails: Mailbox) -> Settings:
    secrets = {"database_url": notification_database, "broker_url": "amqp://nowhere", "edge_key": EDGE_KEY}
    return Settings(**secrets, profile="local", smtp_url=mails.url)


@pytest.fixture
async def shop(settings: Settings, auth: Auth) -> AsyncIterator[Shop]:
    transport = httpx2.ASGITransport(app=auth.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://auth") as peer:
        parts = parts_of(service, settings, {"auth_service": peer})
        edge = httpx2.ASGITransport(app=api(parts))
        async with (
            opened(parts),
            running(parts.pipeline.run()),
            httpx2.AsyncClient(transport=edge, base_url="http://shop/api/v1") as http,
        ):
            async with parts.database.transaction() as tx:
                await tx.sql(f"TRUNCATE {', '.join(table.fullname for table in service.metadata.sorted_tables)}")
            yield Shop(parts, http)
            await parts.pipeline.close()
