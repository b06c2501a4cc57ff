"""The relay on a real RabbitMQ: what it publishes, what it cannot, and who relays when one of two is lost."""

import json
from contextlib import asynccontextmanager

import aio_pika
import pytest
from cloudevents.core.formats.json import JSONFormat

from chassis import relay as chassis_relay
from chassis.app import opened
from chassis.ids import new_id
from chassis.relay import Relay
from chassis.tasks import forever, running
from contracts.envelope import CONTENT_TYPE, MESSAGE_BYTES, decode, encode
from tests.support.envelopes import enveloped
from tests.support.eventually import eventually
from tests.support.ledger import SERVICE, Credit, refunded


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(chassis_relay, "POLL", 0.05)


@pytest.fixture
async def open_parts(parts):
    async with opened(parts):
        yield parts


@pytest.fixture
def relay(open_parts, cable):
    return Relay(SERVICE, open_parts.database, cable.url)


@asynccontextmanager
async def relaying(*relays):
    async with running(*(forever("relay", relay.run, longest_pause=0.2) for relay in relays)):
        await eventually(lambda: any(relay.active for relay in relays))
        yield


@pytest.fixture
def told(rows):
    async def told(topic="refund.succeeded", *facts):
        envelopes = [enveloped(fact) for fact in facts or (refunded(),)]
        parcel = envelopes[0].id
        statement = "INSERT INTO $S.outbox (id, topic, events, count) VALUES ($1, $2, $3, $4) RETURNING 1"
        await rows(statement, parcel, topic, encode(envelopes).decode(), len(envelopes))
        return parcel

    return told


@pytest.fixture
def published(rows):
    async def published():
        return {parcel for (parcel,) in await rows("SELECT id FROM $S.outbox WHERE published_at IS NOT NULL")}

    return published


async def test_a_parcel_travels_as_a_batch_of_cloudevents_that_the_official_sdk_reads(broker, relay, told):
    facts = refunded(amount=1), refunded(amount=2)
    parcel = await told("refund.succeeded", *facts)

    async with relaying(relay):
        message = await broker.get()

    assert (message.message_id, message.type, message.routing_key) == (
        str(parcel),
        "refund.succeeded",
        "refund.succeeded",
    )
    assert (message.content_type, message.delivery_mode) == (CONTENT_TYPE, aio_pika.DeliveryMode.PERSISTENT)
    assert [envelope.data for envelope in decode("refund.succeeded", message.body)] == list(facts)
    read = [JSONFormat().read(None, json.dumps(each)) for each in json.loads(message.body)]
    assert [each.get_data()["amount"]["amount"] for each in read] == [1, 2]
    assert {each.get_type() for each in read} == {"refund.succeeded"}


async def test_what_is_larger_than_the_broker_takes_keeps_nothing_else_from_being_told(relay, told, rows, published):
    parcel = await told()
    await rows("UPDATE $S.outbox SET events = events || $1 RETURNING 1", " " * MESSAGE_BYTES)
    other = await told()

    async with relaying(relay):
        await eventually(lambda: _one(published))

    assert await published() == {other}
    assert await rows("SELECT id FROM $S.outbox WHERE attempts = 1") == [(parcel,)]


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("here", [True, False], ids=["in its process", "elsewhere"])
async def test_the_commit_wakes_the_relay(here, relay, open_parts, published, monkeypatch):
    monkeypatch.setattr(chassis_relay, "POLL", 60.0)
    open_parts.work.outbox.relay = relay if here else Relay(SERVICE, open_parts.database, "amqp://nowhere")
    async with noticing(open_parts) as notices, relaying(relay), running(open_parts.pipeline.run()):
        await eventually(lambda: not relay._wake.is_set())
        await open_parts.pipeline.submit(Credit(new_id(), 1))

        await eventually(lambda: _one(published), within=30)
    assert bool(notices) is not here


@asynccontextmanager
async def noticing(parts):
    notices = []
    connection = await parts.database.connect()
    await connection.add_listener(f"{SERVICE}_outbox", lambda *_: notices.append(True))
    yield notices
    connection.terminate()


async def _one(published):
    return len(await published()) == 1


async def test_what_no_service_listens_to_is_published_all_the_same(broker, relay, told, published):
    unheard = await told("order.shipped")

    async with relaying(relay):
        await eventually(lambda: _is(published, {unheard}))


async def _is(published, expected):
    return await published() == expected


async def test_what_a_service_should_hear_and_no_queue_takes_is_an_error_and_holds_up_nobody(
    broker, relay, told, published, rows
):
    lost, other = await told("stock.low"), await told()

    async with relaying(relay):
        await eventually(lambda: _is(published, {other}))
        await eventually(lambda: _attempted(rows, lost))
        await broker.queue.bind("ledger_service.events", "stock.low")
        await rows("UPDATE $S.outbox SET not_before = now() RETURNING 1")
        await eventually(lambda: _is(published, {lost, other}))


async def _attempted(rows, parcel):
    [(attempts,)] = await rows("SELECT attempts FROM $S.outbox WHERE id = $1", parcel)
    return attempts > 0


async def test_what_the_broker_refuses_waits_and_holds_up_nobody(broker, relay, told, published, rows):
    full = await broker.channel.declare_queue(
        f"full.{new_id()}", exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    await full.bind("ledger_service.events", "payment.failed")
    await broker.channel.default_exchange.publish(aio_pika.Message(b"fills it"), full.name)
    refused, other = await told("payment.failed"), await told()

    async with relaying(relay):
        await eventually(lambda: _is(published, {other}))
        await eventually(lambda: _attempted(rows, refused))
        await full.purge()
        await rows("UPDATE $S.outbox SET not_before = now() RETURNING 1")
        await eventually(lambda: _is(published, {refused, other}))


async def test_of_two_relays_one_is_active_and_the_other_takes_over_when_its_connection_ends(
    broker, relay, told, published, rows
):
    other = Relay(SERVICE, relay._database, next(relay._addresses))
    relays = (forever("relay", each.run, longest_pause=0.2) for each in (relay, other))
    async with running(*relays):
        await eventually(lambda: relay.active != other.active)
        first, second = (relay, other) if relay.active else (other, relay)
        parcel = await told()
        await eventually(lambda: _is(published, {parcel}))
        assert (first.active, second.active) == (True, False)

        await rows(_END_THE_LOCKS_HOLDER)

        await eventually(lambda: not first.active)
        await eventually(lambda: second.active or first.active)
        later = await told()
        await eventually(lambda: _is(published, {parcel, later}))


_END_THE_LOCKS_HOLDER = """
    SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database
    WHERE locktype = 'advisory' AND d.datname = current_database()
"""


async def test_when_the_broker_is_away_parcels_wait_and_are_published_when_it_is_back(
    broker, relay, cable, told, published
):
    async with relaying(relay):
        cable.unplug()
        parcels = {await told(), await told()}
        await eventually(lambda: not relay.active)
        assert await published() == set()
        cable.plug()

        await eventually(lambda: _is(published, parcels))

    assert {(await broker.get()).message_id for _ in parcels} == set(map(str, parcels))


async def test_a_broker_that_does_not_confirm_in_time_is_a_failure(broker, relay, told, published, monkeypatch):
    monkeypatch.setattr(chassis_relay, "CONFIRM_TIMEOUT", 0.000_001)
    parcel = await told()
    connection = await relay._database.connect()
    other = await aio_pika.connect(broker.url)
    channel = await (await other.channel(publisher_confirms=True)).get_underlay_channel()

    with pytest.raises(TimeoutError):
        await relay.step(connection, chassis_relay.BrokerPublisher(SERVICE, channel))

    assert await published() == set()
    monkeypatch.undo()
    await relay.step(connection, chassis_relay.BrokerPublisher(SERVICE, channel))
    await connection.close()
    await other.close()
    assert await published() == {parcel}
