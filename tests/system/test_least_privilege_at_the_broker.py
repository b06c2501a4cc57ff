"""What each service may not do at the broker, really tried as its own user in a running shop."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import DeliveryError
from aiormq.exceptions import ChannelAccessRefused

from chassis.broker import dead_letters_of, exchange_of, given_up_of
from chassis.ids import new_id
from contracts.catalogue import TELLERS
from ordermill.services import SERVICES
from tests.support.running_shop import RunningShop

Try = Callable[[AbstractChannel], Awaitable[object]]


@asynccontextmanager
async def broker_as(shop: RunningShop, service: str) -> AsyncIterator[AbstractConnection]:
    parts = urlsplit((await shop.ps())["broker_url"])
    user = f"{service}:{quote(shop.secret(f'{service}.broker'), safe='')}"
    connection = await aio_pika.connect(
        parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl(), timeout=10
    )
    try:
        yield connection
    finally:
        await connection.close()


async def broker_refuses(connection: AbstractConnection, attempt: Try) -> bool:
    channel = await connection.channel(publisher_confirms=True)
    try:
        await attempt(channel)
    except (ChannelAccessRefused, DeliveryError):
        return True
    await channel.close()
    return False


def publishes(exchange: str, topic: str) -> Try:
    async def attempt(channel: AbstractChannel) -> None:
        target: Any = channel.default_exchange if not exchange else await channel.get_exchange(exchange, ensure=False)
        await target.publish(aio_pika.Message(b"[]", message_id=str(new_id())), topic, mandatory=False, timeout=10)

    return attempt


def with_queue(name: str, act: Callable[[Any], Awaitable[object]]) -> Try:
    async def attempt(channel: AbstractChannel) -> object:
        return await act(await channel.get_queue(name, ensure=False))

    return attempt


def between(source: str, target: str) -> Try:
    """Binds an exchange to another one."""

    async def attempt(channel: AbstractChannel) -> object:
        exchange = await channel.get_exchange(target, ensure=False)
        return await exchange.bind(source, "#")

    return attempt


def at_home(service: str) -> dict[str, Try]:
    """What a service may not do even with what is its own."""
    return {
        "declares an exchange": lambda channel: channel.declare_exchange("mine", durable=True),
        "declares a queue": lambda channel: channel.declare_queue(f"{service}.more", durable=True),
        "deletes its exchange": lambda channel: channel.exchange_delete(exchange_of(service)),
        "deletes its queue": lambda channel: channel.queue_delete(service),
        "unbinds its queue": with_queue(service, lambda queue: queue.unbind("order_service.events", "#")),
        "binds its queue": with_queue(service, lambda queue: queue.bind("order_service.events", "#")),
        "publishes to its queue": publishes("", service),
        "publishes to everybody": publishes("amq.fanout", "x"),
        "gives up what it likes": publishes(given_up_of(service), "order.created"),
        "tells what it gives up": between(given_up_of(service), exchange_of(service)),
        **{
            f"tells {word} as its own": publishes(exchange_of(service), f"{word}.created")
            for word, owner in TELLERS.items()
            if owner != service
        },
    }


def elsewhere(service: str, other: str) -> dict[str, Try]:
    """What it may not do with what is another's."""
    tries = {
        f"tells {word} for {other}": publishes(exchange_of(other), f"{word}.created")
        for word, owner in TELLERS.items()
        if owner == other
    }
    tries[f"gives up for {other}"] = publishes(given_up_of(other), "order.created")
    tries[f"hears {other}"] = between(exchange_of(other), exchange_of(service))
    tries[f"is heard by {other}"] = between(exchange_of(service), exchange_of(other))
    for queue in (other, dead_letters_of(other)):
        tries[f"reads {queue}"] = with_queue(queue, lambda queue: queue.get(no_ack=False, fail=False))
        tries[f"consumes {queue}"] = with_queue(queue, lambda queue: queue.consume(print))
        tries[f"empties {queue}"] = with_queue(queue, lambda queue: queue.purge())
        tries[f"binds {queue}"] = with_queue(queue, lambda queue: queue.bind(exchange_of(service), "#"))
        tries[f"unbinds {queue}"] = with_queue(queue, lambda queue: queue.unbind(exchange_of(other), "#"))
        tries[f"publishes to {queue}"] = publishes("", queue)
        tries[f"deletes {queue}"] = with_queue(queue, lambda queue: queue.delete())
    return tries


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_tells_its_own_events_reads_its_own_queue_and_nothing_else(shop: RunningShop, service: str):
    mine = next(word for word, owner in TELLERS.items() if owner == service)

    tries = at_home(service)
    for other in SERVICES:
        tries |= elsewhere(service, other) if other != service else {}

    async with broker_as(shop, service) as connection:
        allowed = [name for name, attempt in tries.items() if not await broker_refuses(connection, attempt)]

        assert allowed == []
        assert not await broker_refuses(connection, publishes(exchange_of(service), f"{mine}.nobody_listens"))
        reads = with_queue(dead_letters_of(service), lambda queue: queue.get(no_ack=False, fail=False))
        assert not await broker_refuses(connection, reads)
