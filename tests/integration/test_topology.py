"""What the privileged step declares, and what a service's own user may do with it."""

import asyncio

import aio_pika
import pytest
from aiormq.exceptions import AMQPError, ChannelAccessRefused

from chassis.broker import dead_letters_of, declare_topology, exchange_of, mark_told, with_heartbeat
from contracts.catalogue import TELLERS
from ordermill.setup import listeners
from tests.support.eventually import eventually
from tests.support.ledger import SERVICE, not_refunded, refunded
from tests.support.servers import broker_secret


@pytest.fixture
async def shop(broker):
    """The topology of the whole shop."""
    await declare_topology(broker.url, listeners())
    for service in listeners():
        for queue in (service, dead_letters_of(service)):
            await (await broker.channel.get_queue(queue)).purge()
    return broker


@pytest.fixture
async def as_service(shop, run_folder):
    """A connection as order_service's user."""
    secret = broker_secret(run_folder, "order_service")
    _, _, place = shop.url.rpartition("@")
    connection = await aio_pika.connect(f"amqp://order_service:{secret}@{place}")
    yield connection
    await connection.close()


async def test_a_queue_that_was_lost_is_new_until_it_is_marked_as_told(broker):
    heard = {SERVICE: ("refund.failed",)}
    await mark_told(broker.url, [SERVICE])
    before = await declare_topology(broker.url, heard)
    await broker.channel.queue_delete(SERVICE)

    first = await declare_topology(broker.url, heard)
    interrupted = await declare_topology(broker.url, heard)
    await mark_told(broker.url, [SERVICE])
    marked = await declare_topology(broker.url, heard)

    assert (before, first, interrupted, marked) == ([], [SERVICE], [SERVICE], [])


async def test_every_service_has_an_exchange_and_every_listener_a_queue_and_one_for_dead_letters(shop):
    for service in set(TELLERS.values()):
        await shop.channel.declare_exchange(exchange_of(service), passive=True)
    for service in listeners():
        for queue in (service, dead_letters_of(service)):
            await shop.channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})


async def test_a_queue_hears_the_topics_that_its_service_decides_upon_and_no_other(broker):
    for fact in (not_refunded(), refunded()):
        await broker.tell(fact)
    await broker.channel.default_exchange.publish(aio_pika.Message(b"x"), "nowhere", mandatory=False)
    exchange = await broker.channel.get_exchange(exchange_of("payment_service"))
    await exchange.publish(aio_pika.Message(b"x"), "payment.unresolved", mandatory=False)

    heard = [(await broker.get()).routing_key for _ in range(2)]

    assert heard == ["refund.failed", "refund.succeeded"]
    assert await broker.waiting() == 0


async def test_what_comes_back_too_often_is_a_dead_letter(shop):
    exchange = await shop.channel.get_exchange(exchange_of("inventory_service"))
    await exchange.publish(aio_pika.Message(b"poison"), "stock.reserved")
    queue = await shop.channel.get_queue("order_service")

    await (await queue.get(timeout=5)).reject(requeue=False)

    await eventually(lambda: _has_one(shop))
    dead = await (await shop.channel.get_queue("order_service.dead")).get(timeout=5)
    await dead.ack()
    assert (dead.body, dead.routing_key) == (b"poison", "stock.reserved")


async def _has_one(shop):
    return await shop.waiting("order_service.dead") == 1


async def test_a_services_user_tells_its_own_events_and_reads_its_own_queue(as_service, shop):
    channel = await as_service.channel()
    own = await channel.get_exchange(exchange_of("order_service"), ensure=False)

    await own.publish(aio_pika.Message(b"x"), "order.created")
    queue = await channel.declare_queue("order_service", passive=True)

    assert queue.declaration_result.message_count == 0
    assert await queue.get(fail=False) is None
    assert await shop.waiting("inventory_service") == 1


async def _declares(channel):
    await channel.declare_queue("mine", durable=True)


async def _declares_an_exchange(channel):
    await channel.declare_exchange("mine.events", durable=True)


async def _tells_for_another(channel):
    exchange = await channel.get_exchange(exchange_of("payment_service"), ensure=False)
    await asyncio.wait_for(exchange.publish(aio_pika.Message(b"x"), "payment.succeeded"), 5)


async def _tells_by_the_default_exchange(channel):
    await asyncio.wait_for(channel.default_exchange.publish(aio_pika.Message(b"x"), "payment_service"), 5)


async def _reads_anothers_queue(channel):
    await (await channel.get_queue("payment_service", ensure=False)).get()


async def _binds_its_queue_to_more(channel):
    queue = await channel.get_queue("order_service", ensure=False)
    await queue.bind(exchange_of("auth_service"), "#")


async def _empties_its_queue_for_good(channel):
    await channel.queue_delete("order_service")


@pytest.mark.parametrize(
    "attempt",
    [
        _declares,
        _declares_an_exchange,
        _tells_for_another,
        _tells_by_the_default_exchange,
        _reads_anothers_queue,
        _binds_its_queue_to_more,
        _empties_its_queue_for_good,
    ],
)
async def test_a_services_user_may_do_nothing_else(as_service, attempt):
    channel = await as_service.channel()

    with pytest.raises(ChannelAccessRefused):
        await attempt(channel)


async def test_a_wrong_password_opens_nothing(broker):
    _, _, place = broker.url.rpartition("@")

    with pytest.raises(AMQPError):
        await aio_pika.connect(f"amqp://order_service:wrong@{place}")


def test_a_consumer_that_freezes_is_noticed_in_seconds():
    assert with_heartbeat("amqp://x/") == "amqp://x/?heartbeat=5"
    assert with_heartbeat("amqp://x/?a=1") == "amqp://x/?a=1&heartbeat=5"
