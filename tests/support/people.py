"""Who uses a running shop over HTTP: customers and staff, each with a token; and a client that does not give up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol
from uuid import UUID, uuid4

import httpx2

from chassis.ids import parse_typeid
from tests.support.eventually import eventually

PASSWORD = "correct horse battery"
ADDRESS = {"name": "Ada", "line1": "1 Main St", "city": "Delft", "postal_code": "2611", "country": "NL"}
UNSURE = {409, 502, 503, 504}  # a key that is still held, and a door behind which nobody answers


class Published(Protocol):
    """Whatever has a door: its address."""

    url: str


def a_key() -> str:
    return uuid4().hex


def an_order_for(sku: str, quantity: int = 1, token: str | None = "tok_ok", **more: Any) -> dict[str, Any]:
    """The body of POST /orders."""
    payment = {"payment": {"token": token}} if token else {}
    return {"lines": [{"sku": sku, "quantity": quantity}], "shipping_address": ADDRESS, **payment, **more}


def uuid_of(order: dict[str, Any]) -> UUID:
    return parse_typeid("ord", order["id"])


class Person:
    """Somebody with a token. Every method is one request; what it answers is for the test to judge."""

    def __init__(self, client: httpx2.AsyncClient, email: str, token: str) -> None:
        self.client = client
        self.email = email
        self.authorized = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, **params: Any) -> Any:
        response = await self.client.get(path, params=params, headers=self.authorized)
        return response.raise_for_status().json()

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, json=body, headers={**self.authorized, **named})

    async def order(self, body: dict[str, Any], key: str | None = None, wait: int = 0) -> httpx2.Response:
        prefer = {"Prefer": f"wait={wait}"} if wait else {}
        return await self.post("/orders", body, **{"Idempotency-Key": key or a_key(), **prefer})

    async def ordered(self, sku: str, quantity: int = 1, token: str | None = "tok_ok", wait: int = 0) -> dict[str, Any]:
        """The order that was accepted."""
        response = await self.order(an_order_for(sku, quantity, token), wait=wait)
        order: dict[str, Any] = response.raise_for_status().json()
        return order

    async def seen(self, order: dict[str, Any]) -> dict[str, Any]:
        """The order as it is now."""
        now: dict[str, Any] = await self.get(f"/orders/{order['id']}")
        return now

    async def reaches(self, order: dict[str, Any], **expected: Any) -> dict[str, Any]:
        """The order, once these fields have these values. Raises AssertionError with what it is instead."""
        last: dict[str, Any] = {}

        async def is_so() -> bool:
            last.update(await self.seen(order))
            return all(last[name] == value for name, value in expected.items())

        try:
            await eventually(is_so)
        except TimeoutError:
            is_now = {name: last.get(name) for name in ("status", "payment_status", *expected)}
            message = f"{order['id']} is still {is_now}, not {expected}"
            raise AssertionError(message) from None
        return last

    async def pay(self, order: dict[str, Any], token: str) -> httpx2.Response:
        """Another try after a decline."""
        return await self.post(f"/orders/{order['id']}/payments", {"token": token}, **{"Idempotency-Key": a_key()})

    async def cancel(self, order: dict[str, Any]) -> httpx2.Response:
        return await self.post(f"/orders/{order['id']}/cancel")

    async def payment_of(self, order: dict[str, Any]) -> dict[str, Any] | None:
        found = (await self.get("/payments", order_id=order["id"]))["data"]
        return found[0] if found else None

    async def stock_of(self, sku: str) -> tuple[int, int]:
        """On hand and reserved; for staff."""
        stock = await self.get(f"/stock/{sku}")
        return stock["on_hand"], stock["reserved"]


class Insistent:
    """A client that repeats a request with its key until it is told the outcome, and remembers what it was told."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.refused: list[httpx2.Response] = []
        self.cut = 0

    async def order(self, body: dict[str, Any]) -> dict[str, Any]:
        key, accepted = a_key(), []

        async def is_accepted() -> bool:
            try:
                response = await self.person.order(body, key)
            except httpx2.TransportError:
                self.cut += 1
                return False
            if response.status_code in UNSURE:
                self.refused.append(response)
                return False
            accepted.append(response.raise_for_status().json())
            return True

        await eventually(is_accepted)
        return accepted[0]

    async def orders(self, count: int, sku: str) -> list[dict[str, Any]]:
        return await asyncio.gather(*(self.order(an_order_for(sku)) for _ in range(count)))


async def logged_in(client: httpx2.AsyncClient, email: str, password: str) -> Person:
    response = await client.post("/auth/login", json={"email": email, "password": password})
    return Person(client, email, response.raise_for_status().json()["access_token"])


async def a_customer(client: httpx2.AsyncClient) -> Person:
    """Somebody new, registered and logged in."""
    email = f"{uuid4().hex[:12]}@example.com"
    (await client.post("/auth/register", json={"email": email, "password": PASSWORD})).raise_for_status()
    return await logged_in(client, email, PASSWORD)


@asynccontextmanager
async def visiting(shop: Published) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the shop's API."""
    limits = httpx2.Limits(max_connections=200)
    async with httpx2.AsyncClient(base_url=f"{shop.url}/api/v1", timeout=40, limits=limits, trust_env=False) as client:
        yield client


async def a_product(staff: Person, stock: int = 10, price: int = 1000) -> str:
    """The sku of a new product that can be ordered, with so much on hand."""
    sku = f"TEST-{uuid4().hex[:12].upper()}"
    product = {"sku": sku, "name": f"Product {sku}", "price": {"amount": price, "currency": "EUR"}}
    (await staff.post("/products", product)).raise_for_status()
    received = {"delta": stock, "reason": "received"}
    key = {"Idempotency-Key": a_key()}
    (await staff.post(f"/stock/{sku}/adjustments", received, **key)).raise_for_status()

    async def is_known_to_orders() -> bool:
        return (await staff.post("/quotes", {"lines": [{"sku": sku, "quantity": 1}]})).status_code == 200

    await eventually(is_known_to_orders)
    return sku
