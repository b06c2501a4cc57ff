"""A counted shop, opened: its services with their own roles on one database, and nothing that runs by itself."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import httpx2

from chassis import database, pool
from chassis.app import Parts, opened, parts_of
from chassis.tokens import Verifier
from ordermill.launch import AN_ORDER
from ordermill.services import load
from tests.support.counted_shop import KEYS, SERVICES, CountedShop
from tests.support.database import as_role

LINES = 2


def skus(first: int, orders: int) -> list[str]:
    """Two for each order, which no other order names, so that each row stands for one order."""
    return [f"SKU-{number:04}" for number in range(first * LINES, (first + orders) * LINES)]


def bodies(first: int, orders: int) -> list[dict[str, Any]]:
    return [
        {
            **AN_ORDER,
            "lines": [{"sku": sku, "quantity": 2} for sku in skus(first + n, 1)],
            "payment": {"token": "tok_ok"},
        }
        for n in range(orders)
    ]


@asynccontextmanager
async def a_counted_shop(database_url: str, lines: Callable[[], int]) -> AsyncIterator[CountedShop]:
    """Its services with their own roles on one database; nothing runs by itself."""
    async with AsyncExitStack() as stack:
        contacts = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=_contacts), base_url="http://auth")
        peer = await stack.enter_async_context(contacts)
        parts = {name: _parts(name, database_url, peer) for name in SERVICES}
        shop = CountedShop(parts, lines)
        _count_statements(stack, shop)
        for each in parts.values():
            await stack.enter_async_context(opened(each))
        await shop.connect()
        stack.callback(shop.close)
        yield shop


def _count_statements(stack: AsyncExitStack, shop: CountedShop) -> None:
    """Every connection of the shop tells what is sent over it."""
    prepare = pool.prepare

    async def counted(connection: asyncpg.Connection) -> None:
        await prepare(connection)
        connection.add_query_logger(shop.asked)

    for module in (pool, database):
        module.prepare = counted
        stack.callback(setattr, module, "prepare", prepare)


def _parts(name: str, database_url: str, auth_service: httpx2.AsyncClient) -> Parts:
    settings = load(name).settings(
        database_url=as_role(database_url, name), broker_url="amqp://nowhere", edge_key="t", profile="local",
        database_connections=1,
        **({"mail_channel": "null"} if name == "notification_service" else {}),
        **(_provider(database_url) if name == "payment_service" else {}),
    )  # fmt: skip
    parts = parts_of(load(name), settings, {"auth_service": auth_service, "inventory_service": auth_service})
    parts.verifier = Verifier(_jwks, issuer=settings.issuer)
    return parts


def _provider(database_url: str) -> dict[str, str]:
    return {"provider_database_url": as_role(database_url, "provider"), "webhook_secret": "w", "provider_key": "k"}


async def _jwks() -> dict[str, object]:
    return {"keys": [dict(KEYS.public_jwk)]}


async def _contacts(_scope: Any, _receive: Any, send: Any) -> None:
    """auth_service as far as a mail needs it."""
    body = b'{"email": "jane@customer.example", "full_name": "Jane"}'
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
