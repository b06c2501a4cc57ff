"""A look at what changed lately that is bounded: however much that is, only so many of the newest are looked at."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chassis.database import Database
from ordermill.audit import Kind, Question
from ordermill.audit.part import first_id, part
from tests.support.database import as_role

HOUR = timedelta(hours=1)
NAMES = {"orders", "references", "skus", "first_at", "first_id", "newest_id"}


@pytest.fixture
async def narrowed(shop):
    """The values that narrow a bounded question."""
    database = Database(as_role(shop.url, "auditor"), size=1)
    await database.open()

    async def ask(most, wanted=NAMES):
        async with database.transaction(read_only=True, snapshot=True) as tx:
            return await part(tx, Question(frozenset(Kind), recent=HOUR, most=most), wanted)

    yield ask
    await database.close()


async def changed(shop, name, ago):
    await shop.sql(
        f"""INSERT INTO order_service.order_history
            SELECT id, 1, NULL, status, payment_status, fulfilment_status, 'x', 'x', id, now() - interval '{ago}'
            FROM order_service.orders WHERE id = '{shop.orders[name]}'"""  # noqa: S608 -- our own words
    )


@pytest.mark.parametrize(("most", "found"), [(1, {"delivered"}), (2, {"delivered", "confirmed"})])
async def test_the_orders_that_changed_last_are_looked_at(shop, most, found):
    # given
    await shop.sql(
        "UPDATE order_service.orders SET refunded_total = 1 WHERE id IN ('{confirmed}', '{delivered}')".format(  # noqa: S608 -- our own words
            **shop.orders
        )
    )
    await shop.sql("TRUNCATE order_service.order_history")
    await changed(shop, "rejected", "2 h")
    await changed(shop, "confirmed", "20 min")
    await changed(shop, "delivered", "10 min")

    # when
    broken = await shop.broken(only=("P5",), recent=HOUR, most=most)

    # then
    assert {row["order_id"] for row in broken["P5"]} == {shop.orders[name] for name in found}


async def test_only_the_end_of_the_history_is_read(shop, narrowed):
    # given
    await shop.sql(
        """INSERT INTO order_service.order_history
           SELECT order_id, version + n, to_status, to_status, payment_status, fulfilment_status, actor, cause,
               gen_random_uuid(), now()
           FROM order_service.order_history, generate_series(1, 500) n WHERE order_id = '{confirmed}'
           ORDER BY version DESC LIMIT 500""".format(**shop.orders)  # noqa: S608 -- our own words
    )

    # when
    few, many = await narrowed(32), await narrowed(10_000)

    # then
    assert few["orders"] == [shop.orders["confirmed"]]
    assert {*shop.orders.values()} <= {*many["orders"]}


async def test_parcels_are_bounded_by_their_number_and_by_what_is_in_them(shop, narrowed):
    # given
    now = datetime.now(UTC)
    told = [("order", 9, 4), ("payment", 8, 4), ("order", 7, 4), ("inventory", 6, 4), ("order", 5, 1)]
    for service in ("order", "payment", "inventory", "auth", "notification"):
        await shop.sql(f"DELETE FROM {service}_service.outbox")  # noqa: S608 -- our own words
    for service, ago, count in told:
        await shop.sql(
            f"INSERT INTO {service}_service.outbox (id, topic, events, count) VALUES ($1, 'x', '[]', $2)",  # noqa: S608 -- our own words
            _id(now, ago),
            count,
        )

    # when
    found = {most: await narrowed(most, {"first_id", "newest_id"}) for most in (1, 4, 5, 100)}

    # then
    assert {most: given["first_id"] for most, given in found.items() if most < 100} == {
        1: _id(now, 5), 4: _id(now, 8), 5: _id(now, 9)
    }  # fmt: skip
    assert {most: given["newest_id"] for most, given in found.items() if most < 100} == {
        1: _id(now, 5), 4: _id(now, 6), 5: _id(now, 6)
    }  # fmt: skip
    assert now - HOUR <= _moment(found[100]["first_id"]) < now - HOUR + timedelta(minutes=1)
    assert now - timedelta(seconds=30) <= _moment(found[100]["newest_id"]) < now + timedelta(minutes=1)


async def test_answers_are_looked_at_from_when_the_newest_orders_were_placed(shop, narrowed):
    newest = "SELECT created_at FROM order_service.orders ORDER BY created_at DESC LIMIT $1"
    *_, fourth = await shop.sql(newest, 4)

    given = await narrowed(3)

    assert given["first_at"] == fourth["created_at"]


async def test_nothing_is_asked_that_is_not_wanted(narrowed):
    given = await narrowed(1_000, set())

    assert given.keys() == {"first_at", "first_id", "newest_id"}


def _id(now: datetime, ago: int) -> UUID:
    return UUID(int=first_id(now - timedelta(seconds=ago)).int + 1)


def _moment(id_: UUID) -> datetime:
    return datetime.fromtimestamp((id_.int >> 80) / 1000, UTC) + timedelta(milliseconds=1)
