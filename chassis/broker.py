"""RabbitMQ: the topology, and the subscriber that hands parcels to the pipeline and acknowledges after the commit."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import aio_pika
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPException
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue
from loguru import logger

from chassis import heartbeat
from chassis.batch import Work
from chassis.database import Database, Transaction
from chassis.deferred import Deferred
from chassis.parcels import Death, careful, dead, read, unreadable
from chassis.pipeline import Pipeline
from contracts.catalogue import TELLERS, teller

PREFETCH = 50
CHECK = 1.0
HEARTBEAT = 5
FINISHING = 2.5  # for what is in hand when it ends; what is not finished then comes again


def with_heartbeat(url: str) -> str:
    """The URL with a heartbeat of 5 s: a frozen consumer's messages are back after 13 s, not 178 (6-facts.md, 10)."""
    return f"{url}{'&' if '?' in url else '?'}heartbeat={HEARTBEAT}"


async def declare_topology(url: str, listeners: Mapping[str, Sequence[str]]) -> list[str]:
    """Declares exchanges, queues and bindings; says whose queues are new, until ``mark_told`` is called for them.

    ``url`` is of a user that may configure; ``listeners`` are the topics of each service. Limits and dead-lettering
    come by policy, since a queue's arguments cannot be changed later (6-facts.md, 16).
    """
    async with await _connected(url) as connection:
        channel = await connection.channel()
        for service in sorted(set(TELLERS.values())):
            await channel.declare_exchange(exchange_of(service), aio_pika.ExchangeType.TOPIC, durable=True)
        for service in listeners:
            if not await _exists(connection, "queue", service):
                await channel.exchange_delete(_mark_of(service))
        for service, topics in listeners.items():
            await _declare_queue(channel, service, topics)
        return [service for service in listeners if not await _exists(connection, "exchange", _mark_of(service))]


async def mark_told(url: str, services: Sequence[str]) -> None:
    """Notes at the broker that these services were told again what a queue that was lost has held.

    Whoever is interrupted before this does it again; the mark, an exchange without bindings, goes with the queue.
    """
    async with await _connected(url) as connection:
        channel = await connection.channel()
        for service in services:
            await channel.declare_exchange(_mark_of(service), durable=True)


async def _connected(url: str) -> Any:
    async with asyncio.timeout(10):
        return await aio_pika.connect(url)


def _mark_of(service: str) -> str:
    return f"{service}.told"


def exchange_of(service: str) -> str:
    """Where a service tells its events."""
    return f"{service}.events"


def dead_letters_of(service: str) -> str:
    """Where the broker puts what a service could not even defer."""
    return f"{service}.dead"


async def _exists(connection: Any, kind: str, name: str) -> bool:
    channel = await connection.channel()
    try:
        await getattr(channel, f"declare_{kind}")(name, passive=True)
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
    """A service's subscription: the queue named after it and its dead letters, read with a prefetch of 50 parcels."""

    def __init__(self, service: str, url: str, database: Database, pipeline: Pipeline, work: Work) -> None:
        self.service = service
        self.consuming = False
        self._queues = (service, dead_letters_of(service))
        self._url = with_heartbeat(url)
        self._database = database
        self._pipeline = pipeline
        self._work = work

    def broker(self) -> RabbitBroker:
        """A FastStream broker with two subscribers: the service's queue, and its dead letters, which are drained."""
        broker = RabbitBroker(self._url, logger=None, graceful_timeout=FINISHING, fail_fast=True)
        for name, receive in ((self.service, self.receive), (dead_letters_of(self.service), self.receive_dead)):
            queue = RabbitQueue(name, declare=False, durable=True)
            subscriber = broker.subscriber(
                queue,
                channel=Channel(prefetch_count=PREFETCH),
                ack_policy=AckPolicy.MANUAL,
                decoder=_raw,
                no_reply=True,
            )
            subscriber(receive)
        return broker

    async def run(self) -> None:
        """Consumes until the connection or the queue is lost; raises then, to be started again."""
        broker, patience = self.broker(), FINISHING + 0.5
        try:
            with heartbeat.beating(f"{self.service} consumer"):
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
            heartbeat.beat()
            if not self.consuming:
                message = f"queue {self.service} has no consumer"
                raise ConnectionError(message)
            await asyncio.sleep(CHECK)

    async def _has_consumers(self, connection: Any) -> bool:
        async with asyncio.timeout(5):
            channel = await connection.channel()
            queues = [await channel.declare_queue(name, passive=True) for name in self._queues]
            await channel.close()
        return all(queue.declaration_result.consumer_count for queue in queues)

    async def receive(self, body: bytes, message: RabbitMessage) -> None:
        """Settles one parcel and acknowledges it. Nothing is ever rejected: what fails lives on in the database."""
        raw = message.raw_message
        await self.settle(str(raw.message_id), str(raw.routing_key), body, redelivered=bool(raw.redelivered))
        await message.ack()

    async def receive_dead(self, body: bytes, message: RabbitMessage) -> None:
        """Parks what the broker gave up, and acknowledges it then. Dead letters are drained, never browsed."""
        raw = message.raw_message
        death = Death.of(raw.headers, str(raw.routing_key))
        logger.error("{} gave up a parcel of {} and it is parked", death.cause, death.topic)
        await self.settle_dead(str(raw.message_id), death, body)
        await message.ack()

    async def settle(self, message_id: str, topic: str, body: bytes, *, redelivered: bool) -> None:
        """Returns when the parcel is handled, deferred or parked, and that is committed."""
        try:
            parcel = UUID(message_id)
            envelopes = read(topic, body) if topic in self._work.decisions.topics else []
        except (ValueError, KeyError) as failure:
            logger.error("a parcel of {} cannot be read and is parked: {}", topic, type(failure).__name__)
            await self._outlast([unreadable(message_id, topic, body, repr(failure))], None)
        else:
            if redelivered:
                await self._outlast(careful(parcel, envelopes), parcel)
            else:
                await self._pipeline.handle(parcel, envelopes)

    async def settle_dead(self, message_id: str, death: Death, body: bytes) -> None:
        """Returns when what the broker gave up is parked, and that is committed. What was handled changes nothing."""
        try:
            parcel, rows = UUID(message_id), dead(UUID(message_id), read(death.topic, body), death)
        except (ValueError, KeyError) as failure:
            await self._outlast([unreadable(message_id, death.topic, body, f"{death.cause}\n{failure!r}")], None)
        else:
            await self._outlast(rows, parcel)

    async def _outlast(self, rows: Sequence[Deferred], parcel: UUID | None) -> None:
        """Defers, however often the database goes away meanwhile."""
        while True:
            try:
                async with self._database.transaction() as tx:
                    await self._keep(tx, rows, parcel)
            except Exception as outage:  # noqa: BLE001 -- the parcel is the broker's until this is committed
                logger.warning("cannot defer now: {!r}", outage)
                await asyncio.sleep(CHECK)
            else:
                return

    async def _keep(self, tx: Transaction, rows: Sequence[Deferred], parcel: UUID | None) -> None:
        if parcel is None:
            new = await self._work.inbox.unheard(tx, [row.message_id for row in rows])
            await self._work.deferred.add(tx, [row for row in rows if row.message_id in new])
        elif parcel in (await self._work.inbox.claim(tx, [parcel], [])).fresh:
            await self._work.deferred.add(tx, rows)


async def _end(broker: RabbitBroker, patience: float) -> None:
    """Stops a broker; its connection is closed in any case, or it would come back by itself and consume for nobody."""
    connection: Any = broker._connection  # noqa: SLF001 -- FastStream has no public way to its connection
    ends = [partial(_take_no_more, broker), broker.stop, *([connection.close] if connection else [])]
    for end, seconds in zip(ends, (1.0, patience, 1.0), strict=False):
        with suppress(Exception):
            async with asyncio.timeout(seconds):
                await end()


async def _take_no_more(broker: RabbitBroker) -> None:
    """Before FastStream waits for what is in hand: it would go on receiving, up to the prefetch (6-facts.md, 6)."""
    subscriber: Any
    for subscriber in broker.subscribers:
        queue, tag = subscriber._queue_obj, subscriber._consumer_tag  # noqa: SLF001 -- there is no public way
        if queue is not None and tag is not None:
            await queue.cancel(tag)


async def _raw(message: Any) -> bytes:
    body: bytes = message.body
    return body
