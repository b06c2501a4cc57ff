"""The topology step of a broker that lost its data: what its listeners have not handled is told again."""

import asyncpg
import pytest

from chassis.ids import new_id
from ordermill.retelling import tell_lost


@pytest.fixture
async def database(shop_database):
    connection = await asyncpg.connect(shop_database)
    yield connection
    await connection.close()


@pytest.fixture
def told(database):
    async def told(topic, *, published):
        parcel = new_id()
        await database.execute(
            "INSERT INTO order_service.outbox (id, topic, events, count, published_at)"
            " VALUES ($1, $2, '[]', 1, CASE WHEN $3 THEN now() END)",
            parcel, topic, published,
        )  # fmt: skip
        return parcel

    return told


async def test_what_a_listener_has_not_handled_is_told_again(shop_database, database, told):
    lost, handled = await told("order.created", published=True), await told("order.created", published=True)
    other = await told("order.shipped", published=True)
    await database.execute("INSERT INTO inventory_service.inbox (message_id) VALUES ($1)", handled)

    await tell_lost(shop_database, {"inventory_service": ("order.created",)})

    rows = await database.fetch("SELECT id FROM order_service.outbox WHERE published_at IS NULL")
    assert [row["id"] for row in rows] == [lost]
    assert other not in {lost, handled}


async def test_what_a_relay_is_about_to_mark_is_told_again_as_well(shop_database, database, told):
    parcel = await told("order.created", published=False)
    read = await database.fetchval("SELECT not_before FROM order_service.outbox")

    await tell_lost(shop_database, {"inventory_service": ("order.created",)})

    [(now,)] = await database.fetch("SELECT not_before FROM order_service.outbox WHERE id = $1", parcel)
    assert now > read


async def test_its_relay_is_woken(shop_database, database, told):
    await told("order.created", published=True)
    woken = []
    await database.add_listener("order_service_outbox", lambda *_: woken.append(True))

    await tell_lost(shop_database, {"inventory_service": ("order.created",)})

    await database.execute("SELECT 1")
    assert woken == [True]
