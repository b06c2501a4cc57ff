"""When a shop is at rest, asked of a real database: nothing open, unpublished, unhandled, deferred or unsent."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from chassis.ids import new_id
from ordermill.bench.rest import Rest, waiting_for
from ordermill.errors import Exit, Failure
from ordermill.setup import listeners

AGO = datetime.now(UTC) - timedelta(days=1)
PARCEL = "INSERT INTO order_service.outbox (id, topic, events, count, published_at) VALUES ($1, $2, '[]', 1, {0})"
DEFERRED = """
    INSERT INTO payment_service.deferred
        (message_id, index, topic, subject, body, attempts, not_before, last_error, state)
    VALUES ($1, 0, 'order.confirmed', 's', '{}', 1, now(), 'e', 'deferred')
"""


@pytest.fixture
async def database(shop_database):
    connection = await asyncpg.connect(shop_database)
    yield connection
    await connection.close()


@pytest.fixture
def rest(database):
    return Rest(database, listeners(), patience=0.0)


async def waits(rest):
    with pytest.raises(Failure) as failure:
        await rest.rested(AGO)
    assert failure.value.code == Exit.TIMED_OUT
    return failure.value.message.partition(": ")[2]


async def test_a_shop_in_which_nothing_happens_is_at_rest(rest):
    await rest.rested(AGO)
    await rest.settled(lambda: 0)

    assert await rest.statuses(AGO) == {}


async def test_a_parcel_waits_until_it_is_published_and_handled_by_all_who_listen(database, rest):
    parcel = new_id()
    await database.execute(PARCEL.format("NULL"), parcel, "order.confirmed")
    assert await waits(rest) == (
        "order_service unpublished: 1, inventory_service unhandled of order_service: 1, "
        "notification_service unhandled of order_service: 1."
    )

    await database.execute("UPDATE order_service.outbox SET published_at = now()")
    await database.execute("INSERT INTO inventory_service.inbox (message_id) VALUES ($1)", parcel)
    assert await waits(rest) == "notification_service unhandled of order_service: 1."

    await database.execute("INSERT INTO notification_service.inbox (message_id) VALUES ($1)", parcel)
    await rest.rested(AGO)


async def test_what_nobody_listens_to_and_what_is_older_is_not_waited_for(database, rest):
    await database.execute(PARCEL.format("now()"), new_id(), "order.shipped")
    await database.execute(PARCEL.format("now()"), new_id(), "order.confirmed")

    await rest.rested(datetime.now(UTC) + timedelta(minutes=1))
    assert not any("order.shipped" in statement for statement in waiting_for(listeners()).values())


async def test_what_is_deferred_is_waited_for(database, rest):
    await database.execute(DEFERRED, new_id())

    assert await waits(rest) == "payment_service deferred: 1."
