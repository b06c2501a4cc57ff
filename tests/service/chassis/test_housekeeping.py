"""The hourly housekeeping: a day's partitions are made and dropped, old idempotency keys are forgotten."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from chassis.worker import keep_house
from tests.support import ledger_edge


def today():
    return datetime.now(UTC).date()


@pytest.fixture
async def parts(service_url, old_partitions):
    parts = ledger_edge.the_parts(service_url, profile="local")
    await parts.database.open()
    yield parts
    await parts.database.close()


def named(parent, day):
    return f"{parent}_{day:%Y%m%d}"


@pytest.fixture
async def partitions(rows):
    async def partitions(parent):
        found = await rows(
            "SELECT inhparent::regclass::text, inhrelid::regclass::text FROM pg_inherits"
            " JOIN pg_class ON oid = inhparent WHERE relkind = 'p' AND relnamespace = '$S'::regnamespace"
        )
        return {child.rpartition(".")[2] for whose, child in found if whose == f"ledger_service.{parent}"}

    return partitions


@pytest.fixture
async def old_partitions(rows):
    """Partitions of three days ago and of yesterday, for the test alone."""
    days = [today() - timedelta(days=3), today() - timedelta(days=1)]
    for parent in ("outbox", "inbox"):
        for day in days:
            bounds = f"FROM (%L) TO (%L)', $S.first_id('{day}'), $S.first_id('{day + timedelta(days=1)}'))"
            text = f"CREATE TABLE $S.{named(parent, day)} PARTITION OF $S.{parent} FOR VALUES {bounds}"
            [(statement,)] = await rows(f"SELECT format('{text}")
            await rows(statement)
    yield days
    for parent in ("outbox", "inbox"):
        for day in days:
            await rows(f"DROP TABLE IF EXISTS $S.{named(parent, day)}")


async def test_partitions_of_the_next_two_days_are_there_and_expired_ones_go(parts, partitions, rows):
    assert named("outbox", today() - timedelta(days=3)) in await partitions("outbox")
    tomorrow = named("inbox", today() + timedelta(days=1))
    await rows(f"DROP TABLE $S.{tomorrow}")

    assert await keep_house(parts) is False

    days = [today() + timedelta(days=n) for n in (-1, 1, 2)]
    for parent in ("outbox", "inbox"):
        assert await partitions(parent) == {f"{parent}_default", *(named(parent, day) for day in days)}


async def test_a_partition_with_an_unpublished_parcel_is_kept(parts, partitions, rows):
    old = today() - timedelta(days=3)
    await rows(
        "INSERT INTO $S.outbox (id, topic, events, count)"
        " VALUES ($S.first_id($1), 'order.created', '[]', 1) RETURNING 1",
        old,
    )

    await keep_house(parts)

    assert named("outbox", old) in await partitions("outbox")
    assert named("inbox", old) not in await partitions("inbox")
    noted = "SELECT parcels, since, days FROM $S.kept ORDER BY parcels"
    assert await rows(noted) == [("inbox", old + timedelta(days=1), 2), ("outbox", None, 2)]
    await rows("UPDATE $S.outbox SET published_at = now() RETURNING 1")
    await keep_house(parts)
    assert named("outbox", old) not in await partitions("outbox")
    assert await rows(noted) == [(parcels, old + timedelta(days=1), 2) for parcels in ("inbox", "outbox")]


async def test_a_service_cannot_drop_the_days_that_are_and_that_come(parts, partitions, rows):
    await keep_house(parts)
    there = await partitions("inbox")

    await rows("SELECT $S.maintain_partitions(-5)")

    assert await partitions("inbox") == there
    assert await rows("SELECT days FROM $S.kept") == [(1,), (1,)]


async def test_ids_land_in_the_partition_of_their_day_and_old_and_foreign_ones_in_the_default(rows):
    foreign, tomorrow = "00000000-0000-4000-8000-000000000000", today() + timedelta(days=1)
    await rows("INSERT INTO $S.inbox (message_id) VALUES ($1), ($S.first_id($2)) RETURNING 1", foreign, tomorrow)

    places = await rows("SELECT tableoid::regclass::text FROM $S.inbox ORDER BY message_id")

    assert places == [("ledger_service.inbox_default",), (f"ledger_service.{named('inbox', tomorrow)}",)]


async def test_the_services_role_keeps_house_but_cannot_change_its_schema(parts, database):
    await keep_house(parts)

    for statement in ("CREATE TABLE ledger_service.mine (n int)", "DROP TABLE ledger_service.inbox_default"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.transaction() as tx:
                await tx.sql(statement)


async def test_another_services_role_cannot_keep_this_house(ledger_url, rows):
    await rows("CREATE ROLE ledger_stranger")
    try:
        [(may,)] = await rows(
            "SELECT has_function_privilege('ledger_stranger', '$S.maintain_partitions(integer)', 'EXECUTE')"
        )
    finally:
        await rows("DROP ROLE ledger_stranger")

    assert may is False


async def test_idempotency_keys_are_forgotten_after_seven_days_a_thousand_at_a_time(parts, rows):
    await rows(
        "INSERT INTO $S.idempotency SELECT gen_random_uuid(), 'o', n::text, '', 201, '{}', '', "
        "now() - CASE WHEN n <= 1001 THEN interval '7 days 1 s' ELSE interval '6 days' END "
        "FROM generate_series(1, 1003) n RETURNING 1"
    )

    assert await keep_house(parts) is True
    assert await rows("SELECT count(*) FROM $S.idempotency") == [(3,)]
    assert await keep_house(parts) is True
    assert await keep_house(parts) is False
    assert await rows("SELECT count(*) FROM $S.idempotency") == [(2,)]
