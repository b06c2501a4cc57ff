"""The customers of a run, with accounts and access tokens of their own, all made through the gateway."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import httpx2

from chassis.ids import parse_typeid

AT_ONCE = 4  # a password costs its 25 to 65 ms of a processor
PATIENCE = 30.0
ORDERS_FOR = 240.0  # seconds after which a token is renewed; it lives ten minutes


@dataclass
class Customer:
    """Somebody who has signed in."""

    id: UUID
    access_token: str
    refresh_token: str

    @property
    def head(self) -> str:
        """The fields of their requests."""
        return f"Host: shop\r\nContent-Type: application/json\r\nAuthorization: Bearer {self.access_token}\r\n"


class Customers:
    """All of them, and the way to the shop's door."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self.all: list[Customer] = []

    @property
    def heads(self) -> list[str]:
        return [customer.head for customer in self.all]

    async def register(self, count: int) -> None:
        self.all += await asyncio.gather(*(self._register() for _ in range(count)))

    async def _register(self) -> Customer:
        account = {"email": f"{secrets.token_hex(8)}@example.com", "password": secrets.token_urlsafe(18)}
        async with self._at_once:
            user = await self._post("/auth/register", account)
            tokens = await self._post("/auth/login", account)
        return Customer(parse_typeid("usr", user["id"]), tokens["access_token"], tokens["refresh_token"])

    async def renew(self) -> None:
        """New tokens for everybody, one after the other: nobody is kept from ordering by it."""
        for customer in self.all:
            tokens = await self._post("/auth/refresh", {"refresh_token": customer.refresh_token})
            customer.access_token, customer.refresh_token = tokens["access_token"], tokens["refresh_token"]

    async def _post(self, path: str, body: dict[str, str]) -> dict[str, str]:
        answer = await self._http.post(path, json=body)
        given: dict[str, str] = answer.raise_for_status().json()
        return given


@asynccontextmanager
async def customers(gateway: str, count: int) -> AsyncIterator[Customers]:
    """So many customers of the shop behind this gateway."""
    async with httpx2.AsyncClient(base_url=f"{gateway}/api/v1", timeout=PATIENCE, trust_env=False) as http:
        people = Customers(http)
        await people.register(count)
        yield people
