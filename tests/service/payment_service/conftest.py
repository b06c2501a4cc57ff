"""payment_service on a real PostgreSQL with its loops at work, and the provider's books under the provider's role."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import httpx2
import pytest

from chassis.api import api
from chassis.app import Parts, opened, parts_of
from chassis.database import Database
from chassis.ids import new_id, typeid
from chassis.tokens import Caller, KeyPair, Role, Verifier, issue
from chassis.worker import _looping, taking_over
from contracts.event import Event
from contracts.orders import OrderCancellationRequested, PaymentRequested, RefundRequested
from contracts.types import CancelPhase, CancelReason, Money, RefundReason
from payment_service.main import service
from payment_service.settings import Settings
from tests.support.database import as_role
from tests.support.envelopes import enveloped
from tests.support.eventually import eventually

PAIR = KeyPair.new()
SCALE = 0.02


async def _jwks() -> dict[str, object]:
    return {"keys": [dict(PAIR.public_jwk)]}


async def comes_to(ask, expected):
    """Returns as soon as the answer is what is expected."""

    async def is_so() -> bool:
        return await ask() == expected

    await eventually(is_so)


@dataclass(frozen=True)
class Payments:
    """The running service, and the provider's books beside it."""

    http: httpx2.AsyncClient
    parts: Parts
    books: Database

    def headers(self, user_id: UUID, role: Role, key: str | None) -> dict[str, str]:
        token = issue(PAIR, Caller(user_id, role, new_id()), issuer=self.parts.settings.issuer, now=time.time())
        return {"Authorization": f"Bearer {token}", "Idempotency-Key": key or str(new_id())}

    async def call(self, method, path, *, user=None, role=Role.CUSTOMER, status=200, json=None, key=None):
        headers = self.headers(user or new_id(), role, key)
        response = await self.http.request(method, f"/api/v1{path}", json=json, headers=headers)
        assert response.status_code == status, response.text
        return response

    async def staff(self, method, path, **more):
        return await self.call(method, path, role=Role.STAFF, **more)

    async def hear(self, *facts: Event) -> None:
        await self.parts.pipeline.handle(new_id(), [enveloped(fact) for fact in facts])

    async def asked(self, method="tok_ok", attempt=1, amount=2598, order_id=None, customer_id=None) -> UUID:
        order_id = order_id or new_id()
        money = Money(amount=amount, currency="EUR")
        customer_id = customer_id or new_id()
        fact = PaymentRequested(
            order_id=order_id, customer_id=customer_id, attempt=attempt, amount=money, method=method
        )
        await self.hear(fact)
        return order_id

    async def cancelled(self, order_id: UUID, phase=CancelPhase.PRE) -> None:
        reason = CancelReason.CUSTOMER
        await self.hear(OrderCancellationRequested(order_id=order_id, phase=phase, reason=reason, cancel_no=1))

    async def give_back(self, order_id: UUID, amount: int | None = None) -> UUID:
        refund_id = new_id()
        money = None if amount is None else Money(amount=amount, currency="EUR")
        await self.hear(
            RefundRequested(order_id=order_id, refund_id=refund_id, reason=RefundReason.GOODWILL, amount=money)
        )
        return refund_id

    async def of_order(self, order_id: UUID) -> dict:
        listed = await self.staff("GET", f"/payments?order_id={typeid('ord', order_id)}")
        [payment] = listed.json()["data"]
        return payment

    async def reaches(self, order_id: UUID, status: str) -> dict:
        async def ask():
            return (await self.of_order(order_id))["status"]

        await comes_to(ask, status)
        return await self.of_order(order_id)

    async def rows(self, sql: str, *arguments) -> list[tuple]:
        async with self.parts.database.transaction() as tx:
            return [tuple(row) for row in await tx.sql(sql, *arguments)]

    async def booked(self, sql: str, *arguments) -> list[tuple]:
        async with self.books.transaction() as tx:
            return [tuple(row) for row in await tx.sql(sql, *arguments)]

    async def net(self, order_id: UUID) -> int:
        [(net,)] = await self.booked(
            "SELECT coalesce(sum(amount - refunded), 0)::int FROM provider.charges"
            " WHERE order_id = $1 AND status = 'captured'",
            order_id,
        )
        return net

    async def charges(self, order_id: UUID) -> int:
        [(count,)] = await self.booked("SELECT count(*) FROM provider.charges WHERE order_id = $1", order_id)
        return count

    async def told(self, order_id: UUID) -> list[str]:
        return [
            topic
            for topic, subjects in await self.rows(
                "SELECT topic, (SELECT array_agg(e->>'subject') FROM jsonb_array_elements(events::jsonb) e)"
                " FROM payment_service.outbox ORDER BY id"
            )
            for subject in subjects
            if subject == str(order_id)
        ]


@pytest.fixture
def settings(shop_database: str) -> Settings:
    return Settings(
        database_url=as_role(shop_database, "payment_service"),
        provider_database_url=as_role(shop_database, "provider"),
        broker_url="amqp://nowhere",
        edge_key="between services",
        webhook_secret="between us and the provider",
        provider_key="shown to the provider",
        profile="local",
        provider_timeout=timedelta(seconds=10 * SCALE),
        simulator_scale=SCALE,
    )


def patient(settings, **changes):
    """Where nothing asks a second time, the only answer may be late: the machine may have other things to do."""
    return settings.model_copy(update={"provider_timeout": timedelta(seconds=60), **changes})


@asynccontextmanager
async def at_work(settings: Settings, *, loops: bool = True) -> AsyncIterator[Payments]:
    """The service's edge and its worker's loops in one process; without loops nothing is handed over either."""
    peers: dict[str, httpx2.AsyncClient] = {}
    parts = parts_of(service, settings, peers)
    parts.verifier = Verifier(_jwks, issuer=settings.issuer)
    books = Database(settings.provider_database_url.get_secret_value(), size=2)
    async with AsyncExitStack() as stack:
        transport = httpx2.ASGITransport(app=api(parts))
        client = httpx2.AsyncClient(transport=transport, base_url="http://payments")
        peers["payment_service"] = await stack.enter_async_context(client)
        await books.open()
        stack.push_async_callback(books.close)
        await stack.enter_async_context(opened(parts, parts.pipeline.run()))
        if loops:
            stack.enter_context(taking_over(parts))
            await stack.enter_async_context(_looping(service.loops, parts))
        yield Payments(client, parts, books)


@pytest.fixture
async def payments(settings: Settings) -> AsyncIterator[Payments]:
    async with at_work(settings) as shop:
        yield shop
