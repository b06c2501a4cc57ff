"""The relay: carries parcels from the outbox to the broker. One is active a service, under an advisory lock."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol
from uuid import UUID
from zlib import crc32

import aio_pika
import asyncpg
from aiormq import spec
from aiormq.abc import AbstractChannel
from aiormq.exceptions import DeliveryError
from loguru import logger

from chassis import heartbeat, telemetry
from chassis.broker import in_turn
from chassis.database import Database
from contracts.catalogue import UNHEARD
from contracts.envelope import CONTENT_TYPE, MESSAGE_BYTES

PARCELS = 200
CONFIRM_TIMEOUT = 8.0  # shorter than idle_session_timeout, which guards the lock
POLL = 1.0
TAKE = "SELECT pg_try_advisory_lock($1)"
HELD = """
    SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND (l.classid, l.objid, l.objsubid) = (0, $1::oid, 1)
      AND a.datname = current_database()
"""
# Whoever can connect can hold any lock. One that is held in another role's name keeps nobody from telling.
TAKEN_BY_A_STRANGER = f"SELECT EXISTS ({HELD} AND a.usename <> current_user)"


def lock_of(service: str) -> int:
    """The advisory lock that the active relay of a service holds."""
    return crc32(f"relay {service}".encode())


class Publisher(Protocol):
    """Where parcels go."""

    async def publish(self, rows: Sequence[Any]) -> Sequence[bool]:
        """For each row whether the broker has it for good.

        Raises:
            Exception: when the connection is lost or no answer comes in time: nothing is known then of any row.
        """


class BrokerPublisher:
    """RabbitMQ: pipelined, persistent, mandatory where a service listens, each confirmed."""

    def __init__(self, service: str, channel: AbstractChannel) -> None:
        self._exchange = f"{service}.events"
        self._channel = channel

    async def publish(self, rows: Sequence[Any]) -> Sequence[bool]:
        """Confirms are bounded from outside: the library's timeout does not fire while the broker has an alarm.

        What is not answered in time is not confirmed, and is in the way of nothing that is (record 0015).
        """
        publishing = [asyncio.ensure_future(self._publish(row)) for row in rows]
        try:
            answered, _ = await asyncio.wait(publishing, timeout=CONFIRM_TIMEOUT, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in publishing:
                task.cancel()
        failures = [failure for task in publishing if task in answered and (failure := task.exception())]
        if failures or not answered:
            raise failures[0] if failures else TimeoutError
        return [task in answered and isinstance(task.result(), spec.Basic.Ack) for task in publishing]

    async def _publish(self, row: Any) -> object:
        """What the broker says of one parcel; that it refuses one is no failure of the others.

        Of one that is too large it would close the channel, at each try, and nothing else would be told.
        """
        if len(body := row["events"].encode()) > MESSAGE_BYTES:
            return None
        properties = spec.Basic.Properties(
            message_id=str(row["id"]), message_type=row["topic"], content_type=CONTENT_TYPE, delivery_mode=2
        )
        try:
            return await self._channel.basic_publish(
                body,
                exchange=self._exchange,
                routing_key=row["topic"],
                properties=properties,
                mandatory=row["topic"] not in UNHEARD,
            )
        except DeliveryError as refused:
            return refused


class Relay:
    """A service's relay."""

    def __init__(self, service: str, database: Database, broker_urls: str) -> None:
        self.service = service
        self.active = False
        self.stands_by = False
        self._database = database
        self._addresses = in_turn(broker_urls)
        self._wake = asyncio.Event()
        self._lock = lock_of(service)
        self._due = f"""
            SELECT id, topic, events, not_before FROM {service}.outbox
            WHERE published_at IS NULL AND not_before <= now() ORDER BY id LIMIT {PARCELS}
        """  # noqa: S608 -- the schema is the service's name
        # A parcel that was to be told again meanwhile, since the broker lost its data, is not what was confirmed.
        self._mark = f"""
            UPDATE {service}.outbox o SET published_at = now()
            FROM unnest($1::uuid[], $2::timestamptz[]) AS read(id, not_before)
            WHERE (o.id, o.not_before) = (read.id, read.not_before)
        """  # noqa: S608 -- as above
        self._delay = f"""
            UPDATE {service}.outbox SET attempts = attempts + 1,
                not_before = now() + $2 * least(2 ^ least(attempts, 9), 300) * interval '1 s'
            WHERE id = ANY($1::uuid[])
        """  # noqa: S608 -- as above

    def wake(self) -> None:
        """Looks at once for what is to be carried."""
        self._wake.set()

    async def run(self) -> None:
        """Holds the lock and relays until a connection is lost; raises then, to be started again."""
        with heartbeat.beating(f"{self.service} relay"):
            connection = await self._database.connect()
            try:
                await connection.execute("SET idle_session_timeout = '10s'; SET statement_timeout = '10s'")
                while not await self._may_begin(connection):
                    self.stands_by = True
                    heartbeat.beat()
                    await asyncio.sleep(POLL)
                self.stands_by = False
                await self._hold(connection)
            finally:
                self.active = self.stands_by = False
                connection.terminate()

    async def _may_begin(self, connection: asyncpg.Connection) -> bool:
        if await connection.fetchval(TAKE, self._lock):
            return True
        is_stolen = bool(await connection.fetchval(TAKEN_BY_A_STRANGER, self._lock))
        if is_stolen:
            logger.error("another role holds the lock of the relay of {}; it relays without", self.service)
        return is_stolen

    async def _hold(self, connection: asyncpg.Connection) -> None:
        await connection.add_listener(f"{self.service}_outbox", lambda *_: self.wake())
        async with asyncio.timeout(CONFIRM_TIMEOUT):
            broker = await aio_pika.connect(next(self._addresses))
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT):
                channel = await (await broker.channel(publisher_confirms=True)).get_underlay_channel()
            publisher = BrokerPublisher(self.service, channel)
            self.active = True
            while not broker.is_closed:
                heartbeat.beat()
                self._wake.clear()
                if not await self.step(connection, publisher):
                    with suppress(TimeoutError):
                        async with asyncio.timeout(POLL):
                            await self._wake.wait()
        finally:
            with suppress(Exception):
                async with asyncio.timeout(2):
                    await broker.close()

    async def step(self, connection: Any, publisher: Publisher) -> bool:
        """Publishes what is due, then marks exactly what was confirmed. True when more may be due at once.

        Killed in between, it publishes again: the readers' inboxes absorb it. What the broker could not route waits
        with backoff and never holds up other rows.
        """
        rows = await connection.fetch(self._due)
        telemetry.UNPUBLISHED.labels(self.service).set(len(rows))
        if not rows:
            return False
        confirmed = await publisher.publish(rows)
        if kept := [(row["id"], row["not_before"]) for row, ok in zip(rows, confirmed, strict=True) if ok]:
            await connection.execute(self._mark, *zip(*kept, strict=True))
        if lost := {row["id"]: row["topic"] for row, ok in zip(rows, confirmed, strict=True) if not ok}:
            await self._unroutable(lost, connection)
        telemetry.PUBLISHED.labels(self.service).inc(len(rows) - len(lost))
        return len(rows) == PARCELS

    async def _unroutable(self, lost: dict[UUID, str], connection: Any) -> None:
        topics = ", ".join(sorted(set(lost.values())))
        logger.error("the broker has no queue for {}, refuses it or does not answer: run `ordermill topology`", topics)
        telemetry.UNROUTABLE.labels(self.service).inc(len(lost))
        await connection.execute(self._delay, list(lost), random.uniform(0.5, 1.0))  # noqa: S311 -- jitter is no secret
