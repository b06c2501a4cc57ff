"""The broker, and what ties it to the database: the inbox, the outbox, and the relay that polls it."""

import asyncio
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

from faststream import AckPolicy
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue
from loguru import logger
from pydantic import BaseModel, SerializeAsAny
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.event import Event
from tests.performance.usual_way.database import Session, settings
from tests.performance.usual_way.tables import Inbox, Outbox, now

PREFETCH = 20
RELAYED_AT_ONCE = 100
POLLED_EACH = 0.1
TAKE = insert(Inbox.metadata.tables["inbox"]).on_conflict_do_nothing().returning(Inbox.event_id)
E = TypeVar("E", bound=Event)
NACK = AckPolicy.NACK_ON_ERROR  # acknowledged when the handler has returned, so after the commit


class Told(BaseModel, Generic[E]):
    """An event as it travels: with an id, under which a consumer takes it once."""

    id: UUID
    data: SerializeAsAny[E]


broker = RabbitBroker(settings.broker_url, logger=None, default_channel=Channel(prefetch_count=PREFETCH))
exchange = RabbitExchange("usual.events", type=ExchangeType.TOPIC, durable=True)
dead_exchange = RabbitExchange("usual.dead", type=ExchangeType.FANOUT, durable=True)
dead_queue = RabbitQueue("usual.dead", queue_type=QueueType.QUORUM)


def queue(service: str, event: type[Event]) -> RabbitQueue:
    """A quorum queue for one event of one service."""
    return RabbitQueue(
        f"usual.{service}.{event.topic}",
        queue_type=QueueType.QUORUM,
        routing_key=event.topic,
        arguments={"x-delivery-limit": 20, "x-dead-letter-exchange": dead_exchange.name},
    )


async def declare_dead_letters() -> None:
    declared = await broker.declare_queue(dead_queue)
    await declared.bind(await broker.declare_exchange(dead_exchange))


async def is_new(session: AsyncSession, event: Told[Any], consumer: str) -> bool:
    """Whether this consumer has not handled the event; noted in the transaction of the effect."""
    taken = await session.scalar(TAKE, {"event_id": event.id, "consumer": consumer})
    return taken is not None


def tell(session: AsyncSession, event: Event) -> None:
    """Puts the event into the outbox, in the transaction of what it tells."""
    told = Told[Event](id=uuid4(), data=event)
    session.add(Outbox(event_id=told.id, topic=event.topic, payload=told.model_dump_json()))


async def relay() -> None:
    """Publishes what is in the outbox, for ever; looks again at once while there is more than one batch."""
    while True:
        published = 0
        try:
            published = await publish_batch()
        except Exception:  # noqa: BLE001 -- whatever failed, the rows are still there
            logger.exception("the relay tries again")
        if published < RELAYED_AT_ONCE:
            await asyncio.sleep(POLLED_EACH)


async def publish_batch() -> int:
    """Publishes the oldest rows, a message each, and marks them when the broker has confirmed all of them."""
    waiting = select(Outbox).where(Outbox.published_at.is_(None)).order_by(Outbox.id).limit(RELAYED_AT_ONCE)
    async with Session.begin() as session:
        rows = (await session.scalars(waiting.with_for_update(skip_locked=True))).all()
        await asyncio.gather(*(publish(row) for row in rows))
        if rows:
            done = update(Outbox).where(Outbox.id.in_([row.id for row in rows])).values(published_at=now())
            await session.execute(done.execution_options(synchronize_session=False))
    return len(rows)


async def publish(row: Outbox) -> None:
    await broker.publish(
        row.payload,
        exchange=exchange,
        routing_key=row.topic,
        message_id=str(row.event_id),
        content_type="application/json",
        persist=True,
    )
