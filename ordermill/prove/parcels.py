"""Parcels that nobody should have to expect: published again, copied, or poisoned in four ways."""

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import aio_pika
import asyncpg

from chassis.broker import connected, exchange_of
from chassis.ids import new_id
from contracts.catalogue import EVENTS, TELLERS, teller
from contracts.envelope import CONTENT_TYPE
from ordermill.prove.schedule import Kind
from ordermill.services import SERVICES

# The ids among those that are parked: what was still in the queue when the broker lost its data is nowhere.
_PARKED = " UNION ".join(
    f"SELECT message_id FROM {service}.deferred WHERE state = 'parked' AND message_id = ANY($1)"  # noqa: S608 -- ours
    for service in SERVICES
)
Listens = Mapping[str, Sequence[str]]

SOME = 40

# Not older than ten seconds: the promise that no event waits for longer than 30 s must stay one that can be looked at.
_RECENT = """
    SELECT id, topic, events FROM {teller}.outbox
    WHERE published_at > now() - interval '10 s' AND created_at > now() - interval '15 s' ORDER BY id DESC LIMIT {some}
"""
_REPEAT = """
    WITH again AS (UPDATE {teller}.outbox SET published_at = NULL, not_before = now() WHERE id = ANY($1) RETURNING 1)
    SELECT count(*), pg_notify('{teller}_outbox', '') FROM again
"""
_OF_TOPICS = "SELECT id, topic, events FROM {teller}.outbox WHERE topic = ANY($1) ORDER BY id DESC LIMIT 1"


async def repeat(database: asyncpg.Connection, random: Random) -> int:
    """Lets a relay publish again what it has published in the last seconds; says how many parcels that is."""
    who = random.choice(sorted(set(TELLERS.values())))
    rows = await database.fetch(_RECENT.format(teller=who, some=SOME))
    if rows:
        await database.fetch(_REPEAT.format(teller=who), [row["id"] for row in rows])
    return len(rows)


async def copy(database: asyncpg.Connection, broker_url: str, random: Random) -> int:
    """Publishes copies of what was told in the last seconds, past the relay; says how many parcels that is."""
    who = random.choice(sorted(set(TELLERS.values())))
    rows = await database.fetch(_RECENT.format(teller=who, some=SOME))
    async with await connected(broker_url) as broker:
        exchange = await (await broker.channel()).get_exchange(exchange_of(who), ensure=False)
        for row in rows:
            parcel = _message(row["events"].encode(), row["id"])
            await exchange.publish(parcel, row["topic"], mandatory=False, timeout=5)
    return len(rows)


class Poison(NamedTuple):
    """A message that a service cannot handle: for its queue alone, and yet with any topic."""

    listener: str
    message_id: UUID
    topic: str
    body: bytes

    async def put(self, broker_url: str) -> None:
        """Puts it into the queue: the default exchange follows the header, the topic stays."""
        async with await connected(broker_url) as broker:
            channel = await broker.channel()
            message = _message(self.body, self.message_id, BCC=[self.listener])
            await channel.default_exchange.publish(message, self.topic, mandatory=False, timeout=5)


async def parked(database: asyncpg.Connection, poisoned: Sequence[UUID]) -> list[UUID]:
    """Those that are parked."""
    return [row["message_id"] for row in await database.fetch(_PARKED, list(poisoned))]


async def poison(kind: Kind, database: asyncpg.Connection, listens: Listens, random: Random) -> Poison | None:
    """Poison for some service; None when nothing was told yet that could be spoilt."""
    listener = random.choice(sorted(name for name, topics in listens.items() if topics))
    made = await _made(kind, database, set(listens[listener]), random)
    return made and Poison(listener, *made)


async def _made(
    kind: Kind, database: asyncpg.Connection, heard: set[str], random: Random
) -> tuple[UUID, str, bytes] | None:
    topic, fresh = random.choice(sorted(heard)), new_id()
    match kind:
        case Kind.POISON_BYTES:
            return fresh, topic, b"\xff\xfe{ this was never JSON"
        case Kind.POISON_SCHEMA:
            return fresh, topic, json.dumps([{"specversion": "1.0", "type": topic, "data": {"order": 1}}]).encode()
        case Kind.POISON_TOPIC:
            return await _told(database, set(EVENTS) - heard)
    told = await _told(database, heard)
    return told and (fresh, told[1], _with_nul(told[2]))


async def _told(database: asyncpg.Connection, topics: set[str]) -> tuple[UUID, str, bytes] | None:
    """A parcel that was told, of one of these topics."""
    for who in sorted({teller(topic) for topic in topics}):
        if row := await database.fetchrow(_OF_TOPICS.format(teller=who), sorted(topics)):
            return row["id"], row["topic"], row["events"].encode()
    return None


def _with_nul(body: bytes) -> bytes:
    events = json.loads(body)
    events[0]["subject"] += "\0"
    return json.dumps(events).encode()


def _message(body: bytes, message_id: UUID, **headers: Any) -> aio_pika.Message:
    return aio_pika.Message(
        body,
        message_id=str(message_id),
        content_type=CONTENT_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        headers=headers,
    )
