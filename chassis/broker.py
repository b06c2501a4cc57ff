"""RabbitMQ's topology: an exchange for each service's events, a queue for each listener, and their names."""

import asyncio
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import cycle
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPException

from contracts.catalogue import TELLERS, teller

HEARTBEAT = 5
CONNECTS_WITHIN = 10.0


def nodes(urls: str) -> list[str]:
    """The addresses that a setting names: of one broker, or of a cluster's nodes, separated by commas."""
    return [url.strip() for url in re.split(r",(?=\s*amqps?://)", urls)]


def in_turn(urls: str) -> Iterator[str]:
    """The addresses for ever, with a heartbeat, from any of them on: who fails at one node is at the next one soon.

    Each draws an order of its own, so that connections spread over the nodes.
    """
    drawn = [with_heartbeat(url) for url in nodes(urls)]
    random.shuffle(drawn)
    return cycle(drawn)


def with_heartbeat(url: str) -> str:
    """The URL with a heartbeat of 5 s: a frozen consumer's messages are back after 13 s, with 60 after 178."""
    return f"{url}{'&' if '?' in url else '?'}heartbeat={HEARTBEAT}"


async def declare_topology(url: str, listeners: Mapping[str, Sequence[str]]) -> list[str]:
    """Declares exchanges, queues and bindings; says whose queues are new, until ``mark_told`` is called for them.

    ``url`` is of a user that may configure; ``listeners`` are the topics of each service. Limits and dead-lettering
    come by policy, since a queue's arguments cannot be changed later, and policies can.
    """
    async with await connected(url) as connection:
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
    async with await connected(url) as connection:
        channel = await connection.channel()
        for service in services:
            await channel.declare_exchange(_mark_of(service), durable=True)


async def connected(urls: str) -> Any:
    """A connection to the first node that opens one. Raises what the last one has failed with."""
    *others, last = nodes(urls)
    for url in others:
        with suppress(Exception):
            return await _connected(url)
    return await _connected(last)


async def _connected(url: str) -> Any:
    async with asyncio.timeout(CONNECTS_WITHIN):
        return await aio_pika.connect(url)


def _mark_of(service: str) -> str:
    return f"{service}.told"


def exchange_of(service: str) -> str:
    """Where a service tells its events."""
    return f"{service}.events"


def dead_letters_of(service: str) -> str:
    """Where the broker puts what a service could not even defer."""
    return f"{service}.dead"


def given_up_of(service: str) -> str:
    """The exchange between a queue and its dead letters, where a message keeps the routing key that it was told under.

    RabbitMQ before 4 leaves in ``x-death`` whatever a publisher has written into it.
    """
    return f"{service}.given-up"


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
    given_up = await channel.declare_exchange(given_up_of(service), aio_pika.ExchangeType.FANOUT, durable=True)
    dead = await channel.declare_queue(dead_letters_of(service), durable=True, arguments=arguments)
    await dead.bind(given_up)
    queue = await channel.declare_queue(service, durable=True, arguments=arguments)
    for topic in topics:
        await queue.bind(exchange_of(teller(topic)), topic)
