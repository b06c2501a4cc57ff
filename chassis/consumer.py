"""The subscriber that hands a service's parcels to its pipeline, and acknowledges them after the commit."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

from aio_pika import IncomingMessage, RobustConnection
from aiormq.abc import AbstractChannel
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue
from loguru import logger

from chassis import heartbeat, properties
from chassis.batch import Work
from chassis.broker import dead_letters_of, in_turn
from chassis.database import Database, Transaction
from chassis.deferred import Deferred
from chassis.parcels import Death, careful, dead, identity, read, unreadable
from chassis.pipeline import Pipeline

PREFETCH = 16  # parcels: each holds up to a hundred events, and what is here is in memory
CHECK = 1.0
CHECK_WITHIN = 5.0
FINISHING = 2.5  # for what is in hand when it ends; what is not finished then comes again


class Consumer:
    """A service's subscription: the queue named after it and its dead letters, read with a prefetch of 16 parcels."""

    def __init__(self, service: str, urls: str, database: Database, pipeline: Pipeline, work: Work) -> None:
        self.service = service
        self.consuming = False
        self._queues = (service, dead_letters_of(service))
        self._addresses = in_turn(urls)
        self._database = database
        self._pipeline = pipeline
        self._work = work
        self._topics = frozenset(work.decisions.topics)

    def broker(self) -> RabbitBroker:
        """A FastStream broker with two subscribers: the service's queue, and its dead letters, which are drained."""
        properties.accept_any()
        broker = RabbitBroker(
            next(self._addresses), logger=None, graceful_timeout=FINISHING, fail_fast=True, apply_types=False
        )
        for name, receive in ((self.service, self.receive), (dead_letters_of(self.service), self.receive_dead)):
            queue = RabbitQueue(name, declare=False, durable=True)
            subscriber = broker.subscriber(
                queue,
                channel=Channel(prefetch_count=PREFETCH),
                ack_policy=AckPolicy.MANUAL,
                decoder=_as_it_came,
                no_reply=True,
            )
            subscriber(receive)
        return broker

    async def run(self) -> None:
        """Consumes until the connection or the queue is lost; raises then, to be started again."""
        broker, patience = self.broker(), FINISHING + 0.5
        connections = _connections_of(broker)
        try:
            with heartbeat.beating(f"{self.service} consumer"):
                async with asyncio.timeout(10):
                    await broker.start()
                await self._watch(connections[0])
        except Exception:
            patience = 1.0  # nothing can be acknowledged any more, so nothing is worth waiting for
            raise
        finally:
            self.consuming = False
            await _end(broker, connections, patience)

    async def _watch(self, connection: Any) -> None:
        """Sees each second that the queue is there and has consumers: a deleted queue is never recovered by itself."""
        async with asyncio.timeout(CHECK_WITHIN):
            channel = await (await connection.channel()).get_underlay_channel()
        while True:
            if not connection.connected.is_set():
                message = "the connection is lost"
                raise ConnectionError(message)
            # Shielded, since aio-pika swallows a cancellation now and then, and the worker would never end.
            self.consuming = await asyncio.shield(self._has_consumers(channel))
            heartbeat.beat()
            if not self.consuming:
                message = f"queue {self.service} has no consumer"
                raise ConnectionError(message)
            await asyncio.sleep(CHECK)

    async def _has_consumers(self, channel: AbstractChannel) -> bool:
        async with asyncio.timeout(CHECK_WITHIN):
            queues = [await channel.queue_declare(name, passive=True) for name in self._queues]
        return all(queue.consumer_count for queue in queues)

    async def receive(self, message: IncomingMessage) -> None:
        """Settles one parcel and acknowledges it. Nothing is ever rejected: what fails lives on in the database."""
        redelivered = bool(message.redelivered)
        await self.settle(str(message.message_id), str(message.routing_key), message.body, redelivered=redelivered)
        await message.ack()

    async def receive_dead(self, message: IncomingMessage) -> None:
        """Parks what the broker gave up, and acknowledges it then. Dead letters are drained, never browsed."""
        death = Death.of(message.headers, str(message.routing_key), dead_letters_of(self.service))
        logger.error("{} gave up a parcel of {} and it is parked", death.cause, death.topic)
        await self.settle_dead(str(message.message_id), death, message.body)
        await message.ack()

    async def settle(self, message_id: str, topic: str, body: bytes, *, redelivered: bool) -> None:
        """Returns when the parcel is handled, deferred or parked, and that is committed."""
        try:
            parcel = identity(message_id, topic)
            envelopes = read(topic, body) if topic in self._topics else []
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
            parcel = identity(message_id, death.topic)
            rows = dead(parcel, read(death.topic, body), death)
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


def _connections_of(broker: RabbitBroker) -> list[RobustConnection]:
    """What a broker connects with from now on, be it still connecting: FastStream knows only what has succeeded."""
    made: list[RobustConnection] = []

    def make(*args: Any, **kwargs: Any) -> RobustConnection:
        made.append(RobustConnection(*args, **kwargs))
        return made[-1]

    broker._connection_kwargs["connection_class"] = make  # noqa: SLF001 -- there is no public way
    return made


async def _end(broker: RabbitBroker, connections: Sequence[RobustConnection], patience: float) -> None:
    """Stops a broker; its connection is closed in any case, or it would come back by itself and consume for nobody."""
    ends: list[Callable[[], Awaitable[object]]] = [
        partial(_take_no_more, broker),
        broker.stop,
        *(connection.close for connection in connections),
    ]
    for end, seconds in zip(ends, (1.0, patience, 1.0), strict=False):
        with suppress(Exception):
            async with asyncio.timeout(seconds):
                await end()


async def _take_no_more(broker: RabbitBroker) -> None:
    """Before FastStream waits for what is in hand: it would go on receiving meanwhile, up to the prefetch."""
    subscriber: Any
    for subscriber in broker.subscribers:
        queue, tag = subscriber._queue_obj, subscriber._consumer_tag  # noqa: SLF001 -- there is no public way
        if queue is not None and tag is not None:
            await queue.cancel(tag)


async def _as_it_came(message: RabbitMessage) -> IncomingMessage:
    """What a subscriber is given: its topic says how the bytes are read.

    Never ``message`` itself: FastStream keeps in it what is returned here, and a ring of a message and its bytes is
    memory that only the garbage collector frees, which seldom looks (record 0042).
    """
    return message.raw_message
