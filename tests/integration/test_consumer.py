"""The consumer on a real RabbitMQ: what is acknowledged, when, and what happens to the rest."""

import asyncio
import gc
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import aio_pika
import pamqp.encode
import pytest

from chassis import consumer as chassis_consumer
from chassis.app import opened
from chassis.broker import exchange_of
from chassis.consumer import Consumer
from chassis.ids import marked_id, new_id
from chassis.tasks import forever, running
from tests.support.eventually import eventually
from tests.support.ledger import SERVICE, not_refunded, refunded


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(chassis_consumer, "CHECK", 0.05)


@pytest.fixture
async def open_parts(parts):
    async with opened(parts):
        yield parts


@pytest.fixture
def consumer(open_parts, cable):
    return Consumer(SERVICE, cable.url, open_parts.database, open_parts.pipeline, open_parts.work)


@asynccontextmanager
async def consuming(consumer, *works):
    async with running(*works), running(forever("consumer", consumer.run, longest_pause=0.2)):
        await eventually(lambda: consumer.consuming)
        yield


@pytest.fixture
def working(consumer, open_parts):
    """The consumer, and the pipeline behind it."""
    return lambda: consuming(consumer, open_parts.pipeline.run())


async def nothing_waits(broker):
    return await broker.waiting() == 0


@pytest.fixture
def sees(rows):
    """Waits until a statement has these rows."""

    async def sees(statement, *expected):
        async def so():
            return await rows(statement) == list(expected)

        await eventually(so)

    return sees


BALANCES = "SELECT balance FROM $S.accounts ORDER BY balance"


async def test_a_parcel_has_its_effect_and_is_acknowledged(broker, working, sees):
    async with working():
        parcel = await broker.tell(refunded(amount=1), refunded(amount=2))

        await sees(BALANCES, (1,), (2,))
        await sees("SELECT message_id FROM $S.inbox", (parcel,))

    assert await broker.waiting() == 0


@pytest.fixture
def nobody_collects_garbage():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("nobody_collects_garbage")
async def test_a_parcel_that_is_done_with_leaves_nothing_for_the_garbage_collector(broker, working, sees):
    async with working():
        for amount in (1, 2, 3):
            await broker.tell(refunded(amount=amount))
        await sees(BALANCES, (1,), (2,), (3,))

        await eventually(lambda: not any(isinstance(thing, aio_pika.IncomingMessage) for thing in gc.get_objects()))


async def test_a_parcel_is_not_acknowledged_before_its_effect_is_committed(broker, consumer, open_parts, sees):
    async with consuming(consumer):
        await broker.tell(refunded(amount=1))
        await eventually(lambda: len(open_parts.pipeline._waiting) == 1)
        assert await broker.waiting() == 0

    await eventually(lambda: _waits(broker, 1))
    assert (await broker.get()).redelivered is True
    await sees(BALANCES)


async def _waits(broker, many):
    return await broker.waiting() == many


async def test_a_parcel_that_comes_again_runs_carefully_event_by_event(broker, working, sees):
    await broker.tell(refunded(amount=1), refunded(amount=2))
    await (await broker.take()).nack(requeue=True)

    async with working():
        await sees("SELECT index, state, attempts, careful FROM $S.deferred ORDER BY index", *(
            (index, "deferred", 0, True) for index in (0, 1)
        ))  # fmt: skip
        await sees("SELECT count(*) FROM $S.inbox", (1,))

    await sees(BALANCES)
    assert await broker.waiting() == 0


async def test_a_parcel_that_was_handled_and_comes_again_has_no_second_effect(broker, working, sees):
    fact = refunded(amount=1)
    async with working():
        parcel = await broker.tell(fact)
        await sees(BALANCES, (1,))
        await broker.tell(fact, parcel=parcel)
        await broker.tell(refunded(amount=5))
        await sees(BALANCES, (1,), (5,))

    await broker.tell(fact, parcel=parcel)
    await (await broker.take()).nack(requeue=True)
    async with working():
        await eventually(lambda: nothing_waits(broker))
        await broker.tell(refunded(amount=7))
        await sees(BALANCES, (1,), (5,), (7,))

    await sees("SELECT 1 FROM $S.deferred")


async def test_what_fails_is_acknowledged_and_lives_on_in_the_database(broker, working, sees):
    async with working():
        parcel = await broker.tell(not_refunded())

        await sees("SELECT message_id, attempts FROM $S.deferred", (parcel, 1))

    assert await broker.waiting() == 0


@pytest.mark.parametrize("body", [b"{", b"\xff\x00", b"[]", b'[{"specversion": "1.0"}]'])
async def test_a_parcel_that_cannot_be_read_is_parked_and_acknowledged(broker, working, sees, rows, body):
    async with working():
        parcel = await broker.tell(body=body, topic="refund.succeeded")
        await sees(
            "SELECT message_id, index, state, topic, subject, attempts FROM $S.deferred",
            (parcel, -1, "parked", "refund.succeeded", "refund.succeeded", 0),
        )
        await broker.tell(refunded(amount=1))
        await sees(BALANCES, (1,))

    [(kept,)] = await rows("SELECT body FROM $S.deferred")
    assert kept == body.decode("utf-8", "backslashreplace").replace("\0", "\\0")
    assert await broker.waiting() == 0


async def test_a_subject_that_postgresql_cannot_compare_cannot_be_read(broker, working, sees):
    body = (
        b'[{"id":"%s","type":"refund.failed","source":"/payment_service","subject":"a\\u0000","time":"2026-01-01T00:00:00Z",'
        % (str(uuid4()).encode())
    )
    rest = b'"dataschema":"x","sequence":"1","correlationid":"r","causationid":"%s","data":{"order_id":"%s",' % (
        (str(uuid4()).encode(),) * 2
    )
    data = b'"refund_id":"%s","amount":{"amount":1,"currency":"EUR"},"code":"x"}}]' % str(uuid4()).encode()

    async with working():
        await broker.tell(body=body + rest + data, topic="refund.failed")

        await sees("SELECT state, last_error LIKE '%subject%' FROM $S.deferred", ("parked", True))


async def test_a_message_that_is_no_parcel_at_all_is_parked_once(broker, working, sees):
    exchange = await broker.channel.get_exchange(exchange_of("payment_service"))
    async with working():
        for _ in range(2):
            await exchange.publish(aio_pika.Message(b"hello", message_id="nonsense"), "refund.failed")
        await exchange.publish(aio_pika.Message(b"hello"), "refund.failed")
        await eventually(lambda: nothing_waits(broker))
        await sees("SELECT index, body FROM $S.deferred ORDER BY message_id", (-1, "hello"), (-1, "hello"))


@pytest.fixture
def no_text(monkeypatch):
    """From now on the words «no text» are sent as two bytes that are no UTF-8."""
    short_string = pamqp.encode.METHODS["shortstr"]
    monkeypatch.setitem(
        pamqp.encode.METHODS, "shortstr", lambda text: b"\x02\xff\xfe" if text == "no text" else short_string(text)
    )


@pytest.mark.usefixtures("no_text")
async def test_a_message_whose_routing_key_is_no_text_keeps_nobody_from_the_queue(broker, working, sees):
    exchange = await broker.channel.get_exchange(exchange_of("payment_service"), ensure=False)
    carried = aio_pika.Message(b"[]", message_id=str(uuid4()), headers={"CC": ["refund.succeeded"]})
    await exchange.publish(carried, "no text")

    async with working():
        await broker.tell(refunded(amount=1))
        await sees(BALANCES, (1,))


@pytest.mark.parametrize("given", [{"message_id": "no text"}, {"message_id": "hello", "timestamp": 0}])
@pytest.mark.usefixtures("no_text")
async def test_a_message_whose_properties_cannot_be_read_keeps_nobody_from_the_queue(
    broker, working, sees, monkeypatch, given
):
    monkeypatch.setitem(pamqp.encode.METHODS, "timestamp", lambda _time: b"\xff" * 8)
    exchange = await broker.channel.get_exchange(exchange_of("payment_service"))
    await exchange.publish(aio_pika.Message(b"hello", **given), "refund.failed")

    async with working():
        await broker.tell(refunded(amount=1))

        await sees(BALANCES, (1,))
        await sees("SELECT index, state, body FROM $S.deferred", (-1, "parked", "hello"))


DEEP: dict[str, object] = {}
for _ in range(200):
    DEEP = {"within": [DEEP]}
ODD = {
    "nothing": {},
    "no body": {"body": b""},
    "a long id": {"message_id": "x" * 255},
    "texts": {"type": "x" * 255, "app_id": "\0", "reply_to": "amq.rabbitmq.reply-to.x", "correlation_id": "x" * 255},
    "an encoding": {"content_encoding": "gzip", "content_type": "application/json; charset=none"},
    "no type": {"content_type": "\0"},
    "a priority": {"priority": 255},
    "a mode": {"delivery_mode": 1},
    "an expiration": {"expiration": timedelta(days=40)},
    "the first second": {"timestamp": datetime(1970, 1, 1, tzinfo=UTC)},
    "the last second": {"timestamp": datetime(9999, 12, 31, tzinfo=UTC)},
    "numbers": {
        "headers": {"a": Decimal("1.5"), "b": -(2**63), "c": 1e38, "d": True, "e": None, "f": bytearray(b"\xff")}
    },
    "times": {"headers": {"a": datetime(9999, 1, 1, tzinfo=UTC), "x-death": "y", "x-delivery-count": "many"}},
    "tables": {"headers": DEEP},
    "names": {"headers": {"": 1, "\0": 2, "x" * 100: 3, "content-type": "x", "traceparent": "x"}},
    "many": {"headers": {f"h{n}": "x" * 50 for n in range(1_000)}},
}


@pytest.mark.parametrize("odd", ODD)
async def test_no_property_keeps_a_consumer_from_going_on(broker, working, sees, odd):
    exchange = await broker.channel.get_exchange(exchange_of("payment_service"))
    given = {"body": b"hello", "message_id": str(new_id())} | ODD[odd]
    async with working():
        for _ in range(chassis_consumer.PREFETCH + 1):
            await exchange.publish(aio_pika.Message(**given), "refund.failed")
        await broker.tell(refunded(amount=1))

        await sees(BALANCES, (1,))
        await sees("SELECT index, state, body FROM $S.deferred", (-1, "parked", given["body"].decode()))
    assert await broker.waiting() == 0


@pytest.mark.parametrize("body", [b"[]", b"{"])
async def test_a_parcel_under_the_id_of_one_that_another_service_told_takes_nothing_from_that_one(
    broker, working, sees, body
):
    await broker.queue.bind(exchange_of("payment_service"), "user.erased")
    heard = marked_id(new_id(), "payment_service")

    async with working():
        await broker.tell(body=body, topic="user.erased", parcel=heard)
        await eventually(lambda: nothing_waits(broker))
        for _ in range(2):
            await broker.tell(refunded(amount=1), parcel=heard)

        await sees(BALANCES, (1,))
        await sees("SELECT message_id FROM $S.inbox", (heard,))
        await sees("SELECT state, topic FROM $S.deferred", ("parked", "user.erased"))
    assert await broker.waiting() == 0


async def test_a_topic_that_is_bound_but_not_decided_upon_is_acknowledged(broker, working, sees):
    await broker.queue.bind(exchange_of("payment_service"), "payment.unresolved")

    async with working():
        parcel = await broker.tell(body=b"whatever", topic="payment.unresolved")
        await sees("SELECT message_id FROM $S.inbox", (parcel,))

    await sees("SELECT 1 FROM $S.deferred")


async def test_while_the_database_is_away_nothing_is_acknowledged_and_nothing_is_lost(
    broker, consumer, open_parts, sees, working
):
    await open_parts.database.close()
    async with working():
        await broker.tell(body=b"{", topic="refund.succeeded")
        await broker.tell(refunded(amount=1))
        await eventually(lambda: nothing_waits(broker))
        await open_parts.database.open()
        await sees(BALANCES, (1,))
        await sees("SELECT state FROM $S.deferred", ("parked",))

    assert await broker.waiting() == 0


async def test_when_the_connection_is_cut_the_consumer_comes_back(broker, working, sees, cable, consumer):
    async with working():
        cable.unplug()
        await eventually(lambda: not consumer.consuming)
        await broker.tell(refunded(amount=1))
        cable.plug()

        await sees(BALANCES, (1,))
        await eventually(lambda: consumer.consuming)


async def test_a_parcel_whose_acknowledgement_was_lost_has_one_effect(broker, sees, cable, consumer, monkeypatch):
    pipeline, settle, settled = consumer._pipeline, consumer.settle, []

    async def counted(*args, **named):
        await settle(*args, **named)
        settled.append(named["redelivered"])

    monkeypatch.setattr(consumer, "settle", counted)
    async with consuming(consumer):
        parcel = await broker.tell(refunded(amount=1))
        await eventually(lambda: len(pipeline._waiting) == 1)
        cable.cut()
        await asyncio.gather(pipeline.step(), eventually(lambda: nothing_waits(broker)))

        await sees("SELECT message_id FROM $S.inbox", (parcel,))
        await sees(BALANCES, (1,))
        await eventually(lambda: True in settled)

    await eventually(lambda: nothing_waits(broker))


async def test_a_queue_that_is_deleted_is_noticed(broker, consumer):
    run = asyncio.ensure_future(consumer.run())
    await eventually(lambda: consumer.consuming)

    await broker.channel.queue_delete(SERVICE)

    with pytest.raises(Exception, match=r"no queue|no consumer"):
        await asyncio.wait_for(run, 10)
    assert consumer.consuming is False


async def test_without_its_queue_a_consumer_does_not_start(broker, consumer):
    await broker.channel.queue_delete(SERVICE)

    with pytest.raises(Exception, match=r"no queue|NOT_FOUND"):
        await asyncio.wait_for(consumer.run(), 15)
    assert consumer.consuming is False


async def test_a_queue_that_nobody_reads_any_more_is_noticed(broker, consumer):
    async with await aio_pika.connect_robust(broker.url) as connection:
        with pytest.raises(ConnectionError, match="no consumer"):
            await consumer._watch(connection)


async def test_a_consumer_that_ends_while_it_connects_leaves_no_connection_behind(consumer, cable):
    before = asyncio.all_tasks()
    cable.freeze()
    run = asyncio.ensure_future(consumer.run())
    await eventually(lambda: cable.carried)

    run.cancel()
    await asyncio.wait([run])

    theirs = [task for task in asyncio.all_tasks() - before if "Cable" not in repr(task)]
    assert not theirs
