"""A real RabbitMQ and a real PostgreSQL, with the ledger service between them."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from chassis.app import Parts
from chassis.broker import declare_topology, exchange_of
from chassis.ids import new_id
from contracts.envelope import CONTENT_TYPE, encode
from tests.service.chassis.conftest import database, ledger_database, ledger_url, rows, service_url
from tests.support import ledger, ledger_edge
from tests.support.cable import Cable
from tests.support.envelopes import enveloped
from tests.support.eventually import eventually

__all__ = ["database", "ledger_database", "ledger_url", "rows", "service_url"]
TOPICS = ledger.decisions.topics


@dataclass
class Broker:
    """The broker as its administrator sees it."""

    url: str
    channel: AbstractChannel
    queue: AbstractQueue

    async def tell(
        self, *facts: object, parcel: UUID | None = None, body: bytes | None = None, topic: str = ""
    ) -> UUID:
        """Publishes a parcel to the ledger's queue, as payment_service would."""
        parcel = parcel or new_id()
        content = encode([enveloped(fact) for fact in facts]) if body is None else body
        message = aio_pika.Message(content, message_id=str(parcel), content_type=CONTENT_TYPE)
        exchange = await self.channel.get_exchange(exchange_of("payment_service"), ensure=False)
        await exchange.publish(message, topic or facts[0].topic)
        return parcel

    async def waiting(self, name: str = ledger.SERVICE) -> int:
        """How many messages a queue has for the next consumer."""
        queue = await self.channel.declare_queue(name, passive=True)
        return queue.declaration_result.message_count or 0

    async def take(self) -> AbstractIncomingMessage:
        """The next message of the ledger's queue; it is not acknowledged yet."""
        taken: list[AbstractIncomingMessage] = []

        async def one() -> bool:
            if (message := await self.queue.get(fail=False)) is not None:
                taken.append(message)
            return bool(taken)

        await eventually(one)
        return taken[0]

    async def get(self) -> AbstractIncomingMessage:
        """The next message of the ledger's queue, acknowledged."""
        message = await self.take()
        await message.ack()
        return message


async def open_broker(url: str) -> tuple[aio_pika.abc.AbstractConnection, Broker]:
    """Declares the topology with the ledger in it, its queue empty."""
    connection = await aio_pika.connect(url)
    channel = await connection.channel()
    await channel.queue_delete(ledger.SERVICE)
    await declare_topology(url, {ledger.SERVICE: TOPICS})
    own = await channel.declare_exchange(exchange_of(ledger.SERVICE), aio_pika.ExchangeType.TOPIC, durable=True)
    queue = await channel.get_queue(ledger.SERVICE)
    await queue.bind(own, "refund.succeeded")
    return connection, Broker(url, channel, queue)


@pytest.fixture
async def broker(rabbitmq, run_folder) -> AsyncIterator[Broker]:
    """This test's alone, whatever other processes of the run do."""
    with (run_folder / "broker.lock").open("a") as handle:
        await asyncio.to_thread(fcntl.flock, handle, fcntl.LOCK_EX)
        connection, broker = await open_broker(rabbitmq)
        yield broker
        with suppress(Exception):
            await connection.close()


@pytest.fixture
async def cable(broker) -> AsyncIterator[Cable]:
    async with Cable(broker.url) as cable:
        yield cable


@pytest.fixture
async def parts(service_url, cable) -> Parts:
    """The ledger's parts, not yet opened; its broker is at the far end of the cable."""
    return ledger_edge.the_parts(service_url, cable.url)
