"""RabbitMQ: the topology, and the subscriber that hands parcels to the pipeline and acknowledges after the commit."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import aio_pika
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPException
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue
from loguru import logger
from pydantic import ValidationError

from chassis.batch import Work
from chassis.database import Database
from chassis.deferred import UNREADABLE, Deferred
from chassis.pipeline import Pipeline
from contracts.catalogue import TELLERS, teller
from contracts.envelope import Envelope, decode, encode

PREFETCH = 50
CHECK = 1.0
HEARTBEAT = 5


def with_heartbeat(url: str) -> str:
    """The URL with a heartbeat of 5 s: a frozen consumer's messages are back after 13 s, not 178 (6-facts.md, 10)."""
    return f"{url}{'&' if '?' in url else '?'}heartbeat={HEARTBEAT}"


async def declare_topology(url: str, listeners: Mapping[str, Sequence[str]]) -> list[str]:
    """Declares exchanges, queues and bindings; says which queues did not exist before.

    ``url`` is of a user that may configure; ``listeners`` are the topics of each service. Limits and dead-lettering
    come by policy, since a queue's arguments cannot be changed later (6-facts.md, 16).
    """
    async with asyncio.timeout(10):
        connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        for service in sorted(set(TELLERS.values())):
            await channel.declare_exchange(exchange_of(service), aio_pika.ExchangeType.TOPIC, durable=True)
        created = [service for service in listeners if not await _exists(connection, service)]
        for service, topics in listeners.items():
            await _declare_queue(channel, service, topics)
    return created


def exchange_of(service: str) -> str:
    """Where a service tells its events."""
    return f"{service}.events"


def dead_letters_of(service: str) -> str:
    """Where the broker puts what a service could not even defer."""
    return f"{service}.dead"


async def _exists(connection: Any, queue: str) -> bool:
    channel = await connection.channel()
    try:
        await channel.declare_queue(queue, passive=True)
    except AMQPException:
        return False
    await channel.close()
    return True


async def _declare_queue(channel: AbstractChannel, service: str, topics: Sequence[str]) -> None:
    arguments: Any = {"x-queue-type": "quorum"}
    await channel.declare_queue(dead_letters_of(service), durable=True, arguments=arguments)
    queue = await channel.declare_queue(service, durable=True, arguments=arguments)
    for topic in topics:
        await queue.bind(exchange_of(teller(topic)), topic)


class Consumer:
    """A service's subscription: one queue named after it, read with a prefetch of 50 parcels."""

    def __init__(self, service: str, url: str, database: Database, pipeline: Pipeline, work: Work) -> None:
        self.service = service
        self.consuming = False
        self._url = with_heartbeat(url)
        self._database = database
        self._pipeline = pipeline
        self._work = work

    def broker(self) -> RabbitBroker:
        """A FastStream broker with the service's one subscriber."""
        broker = RabbitBroker(self._url, logger=None, graceful_timeout=8.0, fail_fast=True)
        queue = RabbitQueue(self.service, declare=False, durable=True)
        subscriber = broker.subscriber(
            queue, channel=Channel(prefetch_count=PREFETCH), ack_policy=AckPolicy.MANUAL, decoder=_raw, no_reply=True
        )
        subscriber(self.receive)
        return broker

    async def run(self) -> None:
        """Consumes until the connection or the queue is lost; raises then, to be started again."""
        broker, patience = self.broker(), 10.0
        try:
            async with asyncio.timeout(10):
                await broker.start()
            await self._watch(broker._connection)  # noqa: SLF001 -- FastStream has no public way to its connection
        except Exception:
            patience = 1.0  # nothing can be acknowledged any more, so nothing is worth waiting for
            raise
        finally:
            self.consuming = False
            await _end(broker, patience)

    async def _watch(self, connection: Any) -> None:
        """Sees each second that the queue is there and has consumers: a deleted queue is never recovered by itself."""
        while True:
            if not connection.connected.is_set():
                message = "the connection is lost"
                raise ConnectionError(message)
            # Shielded, since aio-pika swallows a cancellation now and then, and the worker would never end.
            self.consuming = await asyncio.shield(self._has_consumers(connection))
            if not self.consuming:
                message = f"queue {self.service} has no consumer"
                raise ConnectionError(message)
            await asyncio.sleep(CHECK)

    async def _has_consumers(self, connection: Any) -> bool:
        async with asyncio.timeout(5):
            channel = await connection.channel()
            queue = await channel.declare_queue(self.service, passive=True)
            await channel.close()
        return bool(queue.declaration_result.consumer_count)

    async def receive(self, body: bytes, message: RabbitMessage) -> None:
        """Settles one parcel and acknowledges it. Nothing is ever rejected: what fails lives on in the database."""
        raw = message.raw_message
        await self.settle(str(raw.message_id), str(raw.routing_key), body, redelivered=bool(raw.redelivered))
        await message.ack()

    async def settle(self, message_id: str, topic: str, body: bytes, *, redelivered: bool) -> None:
        """Returns when the parcel is handled, deferred or parked, and that is committed."""
        try:
            parcel, envelopes = UUID(message_id), self._readable(topic, body)
        except (ValidationError, ValueError, KeyError) as failure:
            await self._park(message_id, topic, body, failure)
            return
        if redelivered:
            await self._split(parcel, envelopes)
        else:
            await self._pipeline.handle(parcel, envelopes)

    def _readable(self, topic: str, body: bytes) -> list[Envelope[Any]]:
        envelopes = decode(topic, body) if topic in self._work.decisions.topics else []
        if any("\0" in envelope.subject for envelope in envelopes):
            message = "a subject holds the character NUL, which PostgreSQL cannot compare"
            raise ValueError(message)
        return envelopes

    async def _park(self, message_id: str, topic: str, body: bytes, failure: Exception) -> None:
        logger.error("a parcel of {} cannot be read and is parked: {}", topic, type(failure).__name__)
        name = _text(topic.encode())
        row = Deferred(_identity(message_id, body), UNREADABLE, name, name, _text(body), 0, repr(failure), parked=True)
        await self._outlast([row], None)

    async def _split(self, parcel: UUID, envelopes: Sequence[Envelope[Any]]) -> None:
        rows = [_careful(parcel, index, envelope) for index, envelope in enumerate(envelopes)]
        await self._outlast(rows, parcel)

    async def _outlast(self, rows: Sequence[Deferred], parcel: UUID | None) -> None:
        """Defers, however often the database goes away meanwhile."""
        while True:
            try:
                async with self._database.transaction() as tx:
                    claimed = await self._work.inbox.claim(tx, [parcel] if parcel else [], [])
                    if parcel is None or parcel in claimed.fresh:
                        await self._work.deferred.add(tx, rows)
            except Exception as outage:  # noqa: BLE001 -- the parcel is the broker's until this is committed
                logger.warning("cannot defer now: {!r}", outage)
                await asyncio.sleep(CHECK)
            else:
                return


async def _end(broker: RabbitBroker, patience: float) -> None:
    """Stops a broker; its connection is closed in any case, or it would come back by itself and consume for nobody."""
    connection: Any = broker._connection  # noqa: SLF001 -- FastStream has no public way to its connection
    for end in (broker.stop, *([connection.close] if connection else [])):
        with suppress(Exception):
            async with asyncio.timeout(patience):
                await end()


async def _raw(message: Any) -> bytes:
    body: bytes = message.body
    return body


def _identity(message_id: str, body: bytes) -> UUID:
    try:
        return UUID(message_id)
    except ValueError:
        return uuid5(NAMESPACE_OID, f"{message_id}\0{body!r}")


def _text(body: bytes) -> str:
    return body.decode("utf-8", "backslashreplace").replace("\0", "\\0")


def _careful(parcel: UUID, index: int, envelope: Envelope[Any]) -> Deferred:
    return Deferred(
        message_id=parcel,
        index=index,
        topic=envelope.type,
        subject=envelope.subject,
        body=encode([envelope]).decode(),
        attempts=0,
        error="redelivered",
        careful=True,
    )
