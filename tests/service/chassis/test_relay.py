"""The relay against a real outbox and a broker that does as it is told."""

import asyncpg
import pytest

from chassis import relay as chassis_relay
from chassis.ids import new_id
from chassis.relay import PARCELS, Relay
from tests.support.ledger import SERVICE


class Broker:
    """Confirms everything but the topics that it has no queue for; fails when it is told to."""

    def __init__(self, *unroutable, failure=None):
        self.unroutable = unroutable
        self.failure = failure
        self.heard = []

    async def publish(self, rows):
        if self.failure:
            raise self.failure
        self.heard.append([row["id"] for row in rows])
        return [row["topic"] not in self.unroutable for row in rows]


@pytest.fixture
def relay(database):
    return Relay(SERVICE, database, "amqp://nowhere")


@pytest.fixture
async def connection(service_url):
    connection = await asyncpg.connect(service_url)
    yield connection
    await connection.close()


@pytest.fixture
def told(rows):
    async def told(topic="order.created"):
        parcel = new_id()
        await rows(
            "INSERT INTO $S.outbox (id, topic, events, count) VALUES ($1, $2, '[]', 1) RETURNING 1", parcel, topic
        )
        return parcel

    return told


async def unpublished(rows):
    return {parcel for (parcel,) in await rows("SELECT id FROM $S.outbox WHERE published_at IS NULL")}


async def test_what_is_due_is_published_in_order_and_marked(relay, connection, told, rows):
    parcels, broker = [await told() for _ in range(3)], Broker()

    await relay.step(connection, broker)
    await relay.step(connection, broker)

    assert broker.heard == [parcels]
    assert await unpublished(rows) == set()


async def test_only_after_a_full_look_there_may_be_more_at_once(relay, connection, told):
    for _ in range(PARCELS):
        await told()

    assert await relay.step(connection, Broker()) is True
    assert await relay.step(connection, Broker()) is False


async def test_exactly_what_was_confirmed_is_marked(relay, connection, told, rows):
    first, lost, last = await told(), await told("stock.low"), await told()

    await relay.step(connection, Broker("stock.low"))

    assert await unpublished(rows) == {lost}
    assert await rows("SELECT attempts FROM $S.outbox ORDER BY id") == [(0,), (1,), (0,)]
    assert first != last


async def test_what_cannot_be_routed_waits_and_holds_up_nobody(relay, connection, told, rows):
    lost, broker = await told("stock.low"), Broker("stock.low")
    await relay.step(connection, broker)

    later = await told()
    await relay.step(connection, broker)

    assert broker.heard == [[lost], [later]]
    [(waits,)] = await rows("SELECT extract(epoch FROM not_before - now()) FROM $S.outbox WHERE id = $1", lost)
    assert 0 < waits <= 1


async def test_what_cannot_be_routed_is_tried_again_ever_more_rarely_for_ever(relay, connection, told, rows):
    waits = []
    lost = await told("stock.low")
    for attempts in (3, 8, 9, 5_000):
        await rows("UPDATE $S.outbox SET not_before = now(), attempts = $1 RETURNING 1", attempts)
        await relay.step(connection, Broker("stock.low"))
        [(wait,)] = await rows("SELECT extract(epoch FROM not_before - now())::float FROM $S.outbox")
        waits.append(wait)

    assert 3.5 < waits[0] <= 8
    assert 120 < waits[1] <= 256
    assert 145 < waits[2] <= 300
    assert 145 < waits[3] <= 300
    broker = Broker()
    await rows("UPDATE $S.outbox SET not_before = now() RETURNING 1")
    await relay.step(connection, broker)
    assert (broker.heard, await unpublished(rows)) == ([[lost]], set())


async def test_when_publishing_fails_nothing_is_marked_and_everything_comes_again(relay, connection, told, rows):
    parcels = {await told(), await told()}

    with pytest.raises(ConnectionResetError):
        await relay.step(connection, Broker(failure=ConnectionResetError()))

    assert await unpublished(rows) == parcels
    assert await rows("SELECT DISTINCT attempts FROM $S.outbox") == [(0,)]
    broker = Broker()
    await relay.step(connection, broker)
    assert set(broker.heard[0]) == parcels


async def test_a_parcel_that_was_told_late_with_an_old_id_is_not_missed(relay, connection, told, rows):
    old, broker = new_id(), Broker()
    new = await told()
    await relay.step(connection, broker)

    await rows(
        "INSERT INTO $S.outbox (id, topic, events, count) VALUES ($1, 'order.created', '[]', 1) RETURNING 1", old
    )
    await relay.step(connection, broker)

    assert broker.heard == [[new], [old]]


class LostBroker(Broker):
    """Has lost what it confirms by the time that its confirm is heard: the topology step was told so first."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    async def publish(self, rows):
        confirmed = await super().publish(rows)
        await self.rows("UPDATE $S.outbox SET published_at = NULL, not_before = clock_timestamp() RETURNING 1")
        return confirmed


async def test_the_late_confirm_of_a_broker_that_lost_its_data_marks_nothing(relay, connection, told, rows):
    parcel = await told()

    await relay.step(connection, LostBroker(rows))

    assert await unpublished(rows) == {parcel}
    broker = Broker()
    await relay.step(connection, broker)
    assert (broker.heard, await unpublished(rows)) == ([[parcel]], set())


async def test_at_most_two_hundred_parcels_are_published_at_once(relay, connection, rows):
    ids = [new_id() for _ in range(PARCELS + 1)]
    await rows("INSERT INTO $S.outbox SELECT id, 'order.created', '[]', 1 FROM unnest($1::uuid[]) id RETURNING 1", ids)
    broker = Broker()

    while await relay.step(connection, broker):
        pass

    assert [len(heard) for heard in broker.heard] == [200, 1]


async def test_a_relay_without_a_broker_gives_the_lock_back(relay, service_url, connection, monkeypatch):
    monkeypatch.setattr(chassis_relay, "POLL", 0.01)
    unreachable = Relay(SERVICE, relay._database, "amqp://127.0.0.1:1/")

    with pytest.raises(Exception, match=r"(?i)connect"):
        await unreachable.run()

    assert unreachable.active is False
    assert await connection.fetchval("SELECT pg_try_advisory_lock($1)", relay._lock)


async def test_a_lock_that_another_role_holds_keeps_no_relay_from_its_work(relay, connection, ledger_url):
    stranger = await asyncpg.connect(ledger_url)  # the owner stands for it
    await stranger.fetchval("SELECT pg_advisory_lock($1)", relay._lock)

    assert await relay._may_begin(connection) is True

    await stranger.close()


async def test_a_lock_that_another_relay_of_the_service_holds_does(relay, connection, service_url):
    other = await asyncpg.connect(service_url)
    assert await relay._may_begin(other) is True

    assert await relay._may_begin(connection) is False

    await other.close()
