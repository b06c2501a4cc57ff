"""The topology step of a broker that lost its data: what its listeners have not handled is told again."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from chassis.ids import derived_id, new_id
from ordermill.retelling import tell_lost
from ordermill.services import SERVICES

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(minutes=1)


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


@pytest.fixture
def keeps(database):
    """A service's housekeeping keeps so many days; of those before, its inbox had two."""

    async def keeps(service, days):
        for day in (days + 1, days + 2):
            await database.execute(
                f"CREATE TABLE {service}.inbox_{(TODAY - timedelta(days=day)):%Y%m%d} PARTITION OF {service}.inbox"
                f" FOR VALUES FROM ({service}.first_id(current_date - {day}))"
                f" TO ({service}.first_id(current_date - {day} + 1))"
            )
        await database.execute(f"SELECT {service}.maintain_partitions({days})")

    return keeps


@pytest.fixture
def told_of(database):
    """A parcel about what was caused so many days ago, told so many days ago."""

    async def told_of(caused, told):
        parcel = derived_id(UUID(int=int((TODAY - timedelta(days=caused)).timestamp() * 1000) << 80), caused, told)
        await database.execute(
            "INSERT INTO order_service.outbox (id, topic, events, count, created_at, published_at)"
            " VALUES ($1, 'order.created', '[]', 1, $2, now())",
            parcel, TODAY - timedelta(days=told),
        )  # fmt: skip
        return parcel

    return told_of


@pytest.mark.parametrize("service", ["inventory_service", "payment_service"])
async def test_what_an_inbox_forgets_within_a_day_is_not_told_again_to_whomever(
    shop_database, database, keeps, told_of, service
):
    """Also of a listener whose queue was not lost: it hears what is told again, too."""
    for each in SERVICES:
        await keeps(each, 4 if each == service else 9)
    forgotten, kept, today = [await told_of(days, days) for days in (3, 2, 0)]

    await tell_lost(shop_database, {"inventory_service": ("order.created",)})

    rows = await database.fetch("SELECT id FROM order_service.outbox WHERE published_at IS NULL ORDER BY id")
    assert [row["id"] for row in rows] == [kept, today]
    assert forgotten not in {kept, today}


async def test_a_shop_that_has_dropped_nothing_yet_tells_everything_again(shop_database, database, told_of):
    for each in SERVICES:
        await database.execute(f"SELECT {each}.maintain_partitions(31)")
    parcels = [await told_of(days, days) for days in (28, 2, 0)]

    await tell_lost(shop_database, {"inventory_service": ("order.created",)})

    rows = await database.fetch("SELECT id FROM order_service.outbox WHERE published_at IS NULL ORDER BY id")
    assert [row["id"] for row in rows] == parcels


async def test_what_was_dropped_while_fewer_days_were_kept_stays_forgotten(shop_database, database, keeps, told_of):
    for each in SERVICES:
        await keeps(each, 3)
        await database.execute(f"SELECT {each}.maintain_partitions(31)")
    forgotten, kept = await told_of(4, 4), await told_of(3, 3)

    await tell_lost(shop_database, {"inventory_service": ("order.created",)})

    rows = await database.fetch("SELECT id FROM order_service.outbox WHERE published_at IS NULL")
    assert [row["id"] for row in rows] == [kept]
    assert forgotten != kept


async def test_of_causes_older_than_what_is_kept_inboxes_forget_nothing(shop_database, database, keeps, told_of):
    for each in SERVICES:
        await keeps(each, 4)
    before_its_day_went, after = await told_of(40, 37), await told_of(40, 1)

    await tell_lost(shop_database, {"inventory_service": ("order.created",)})

    rows = await database.fetch("SELECT id FROM order_service.outbox WHERE published_at IS NULL")
    assert [row["id"] for row in rows] == [after]
    assert before_its_day_went != after
