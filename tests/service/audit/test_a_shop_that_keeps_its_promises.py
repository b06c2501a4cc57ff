"""A shop on whose day everything happened, audited whole, in part, and as long as it is not at rest."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from ordermill.audit import INVARIANTS, Kind
from tests.support.database import as_role

# What docs/promises.md promises: at any instant, and once the shop has drained.
DESIGN = {
    Kind.ALWAYS: "S1 S2 S3 S4 P1 P2 P3 P7 O1 O2 O4 O5 O6 O7 O8 E2 E4 E5 N2 I1 A1 X1 X2",
    Kind.DRAINED: "S5 S6 P4 P5 P6 O3 E1 E3 E6 E7 E8 N1 I2",
}
STORIES = {
    "confirmed": {"confirmed", "free", "slow", "told three times", "broken twice", "silent", "paid later",
                  "paid at the second try", "refunded for goodwill", "refunded whole", "refused refund",
                  "on backorder"},
    "partially_shipped": {"partly shipped"},
    "shipped": {"shipped", "shipped apart", "cancelled too late", "of somebody who was erased"},
    "delivered": {"delivered", "returned"},
    "rejected": {"rejected"},
    "awaiting_payment": {"declined", "without a card", "unresolved"},
    "cancelling": {"reversal refused"},
    "cancelled": {"declined for good", "overdue", "cancelled before it was paid", "cancelled at once", "cancelled",
                  "cancelled while it was charged", "cancelled while it was declined", "cancelled after it was paid"},
}  # fmt: skip


@pytest.mark.parametrize("kind", Kind)
def test_every_promise_of_the_design_is_there(kind):
    assert [each.id for each in INVARIANTS.values() if each.kind is kind] == DESIGN[kind].split()


async def test_a_day_brings_orders_of_every_status(day):
    rows = await day.sql("SELECT id, status FROM order_service.orders WHERE id = ANY($1)", list(day.orders.values()))

    reached = {row["id"]: row["status"] for row in rows}
    assert {name: reached[order] for name, order in day.orders.items()} == {
        name: status for status, names in STORIES.items() for name in names
    }


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"recent": timedelta(minutes=5)},
        {"recent": timedelta(seconds=5)},
        {"recent": timedelta(hours=1), "most": 1},
        {"recent": timedelta(hours=1), "most": 7},
        {"recent": timedelta(hours=1), "most": 1_000},
        {"rest": timedelta(hours=1)},
    ],
)
async def test_a_shop_at_rest_breaks_no_promise(day, part):
    verdicts = await day.audit(**part)

    assert [verdict.invariant.id for verdict in verdicts] == list(INVARIANTS)
    assert {verdict.invariant.id: verdict.broken for verdict in verdicts if verdict.count} == {}


async def test_only_what_is_asked_for_is_audited(day):
    always = await day.audit(kinds=frozenset({Kind.ALWAYS}))
    chosen = await day.audit(only=("X2", "S1"))

    assert [verdict.invariant.id for verdict in always] == DESIGN[Kind.ALWAYS].split()
    assert [verdict.invariant.id for verdict in chosen] == ["S1", "X2"]


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({"recent": timedelta(minutes=5)}, {"P5": "confirmed"}),
        ({"rest": timedelta(minutes=5)}, {"P5": "delivered"}),
        ({}, {"P5": "both"}),
    ],
)
async def test_a_part_of_the_shop_is_audited_by_when_its_orders_changed(shop, part, found):
    # given
    await shop.sql(
        """UPDATE order_service.orders SET refunded_total = 1, updated_at = CASE id
               WHEN '{confirmed}' THEN now() ELSE now() - interval '1 h' END
           WHERE id IN ('{confirmed}', '{delivered}')""".format(**shop.orders)  # noqa: S608 -- our own words
    )

    # when
    broken = await shop.broken(only=("P5",), **part)

    # then
    both = {shop.orders["confirmed"], shop.orders["delivered"]}
    wanted = both if found["P5"] == "both" else {shop.orders[found["P5"]]}
    assert {row["order_id"] for row in broken["P5"]} == wanted


async def test_so_many_rows_are_counted_and_the_first_hundred_shown(shop):
    # given
    await shop.sql(
        """INSERT INTO order_service.deferred
               (message_id, index, topic, subject, body, attempts, not_before, last_error, state)
           SELECT gen_random_uuid(), n, 'stock.reserved', 'x', '[]', 1, now(), 'KeyError', 'deferred'
           FROM generate_series(1, 150) n"""
    )

    # when
    [verdict] = await shop.audit(only=("E7",))

    # then
    assert verdict.count == 150
    assert len(verdict.broken) == 100
    assert verdict.broken[0]["last_error"] == "KeyError"


@pytest.mark.parametrize(
    ("windows", "broken"),
    [
        ([], {"O4"}),
        ([(timedelta(seconds=100), timedelta(seconds=10))], set()),
        ([(timedelta(seconds=100), timedelta(seconds=60)), (timedelta(seconds=90), timedelta(seconds=30))], set()),
        ([(timedelta(seconds=100), timedelta(seconds=80)), (timedelta(seconds=100), timedelta(seconds=80))], {"O4"}),
        ([(timedelta(hours=2), timedelta(hours=1))], {"O4"}),
    ],
)
async def test_windows_of_faults_are_taken_out_of_a_delay_once(shop, windows, broken):
    # given
    await shop.sql(
        "UPDATE order_service.orders SET due_at = now() - interval '2 min' WHERE id = '{declined}'".format(  # noqa: S608 -- our own words
            **shop.orders
        )
    )
    now = datetime.now(UTC)
    outages = [(now - since, now - until) for since, until in windows]

    # when
    found = await shop.broken(outages=outages)

    # then
    assert found.keys() == broken


async def test_a_parcel_that_is_told_again_has_thirty_seconds_from_then(shop):
    # given
    await shop.sql(
        """UPDATE order_service.outbox SET published_at = NULL, not_before = now(), created_at = now() - interval '1 h'
           WHERE topic = 'order.shipped'"""
    )

    # when
    broken = await shop.broken(kinds=frozenset({Kind.ALWAYS}))

    # then
    assert broken == {}


async def test_what_a_person_has_discarded_is_not_missed(shop):
    # given
    [parcel] = await shop.sql(
        "SELECT id, events FROM order_service.outbox WHERE topic = $1 ORDER BY id LIMIT 1", "order.confirmed"
    )
    await shop.sql("DELETE FROM notification_service.inbox WHERE message_id = $1", parcel["id"])
    await shop.sql(
        """DELETE FROM notification_service.notifications n USING order_service.outbox o,
               jsonb_to_recordset(o.events::jsonb) AS e(id uuid) WHERE o.id = $1 AND n.event_id = e.id""",
        parcel["id"],
    )
    missed = await shop.broken()

    # when
    for message, body in ((parcel["id"], parcel["events"]), (shop.poisoned[0], "[{]")):
        await shop.sql(
            """INSERT INTO notification_service.acts (id, actor, act, message_id, index, topic, cause, body, note)
               VALUES (gen_random_uuid(), 'usr_staff', 'discard', $1, -1, 'order.confirmed', 'KeyError', $2, 'old')""",
            message,
            body,
        )
    await shop.sql("DELETE FROM order_service.deferred WHERE message_id = $1", shop.poisoned[0])

    # then
    assert missed.keys() == {"E3", "N1"}
    assert await shop.broken() == {}


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM order_service.orders",
        "UPDATE provider.charges SET amount = 1",
        "INSERT INTO auth_service.users DEFAULT VALUES",
        "SELECT order_service.maintain_partitions(1)",
    ],
)
async def test_the_auditor_cannot_write_whatever_it_says_of_its_transactions(day, statement):
    connection = await asyncpg.connect(as_role(day.url, "auditor"))

    with pytest.raises((asyncpg.ReadOnlySQLTransactionError, asyncpg.InsufficientPrivilegeError)):
        await connection.execute(statement)
    await connection.execute("SET default_transaction_read_only = off")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)

    await connection.close()


async def test_the_auditor_reads_what_later_migrations_make(shop):
    # given
    await shop.sql("CREATE TABLE payment_service.later (n int); CREATE TABLE provider.later (n int)")
    connection = await asyncpg.connect(as_role(shop.url, "auditor"))

    # when
    rows = await connection.fetch("SELECT * FROM payment_service.later, provider.later")

    # then
    await connection.close()
    assert rows == []


@pytest.mark.parametrize("role", ["order_service", "inventory_service", "provider"])
async def test_a_services_role_reads_no_other_schema(day, role):
    connection = await asyncpg.connect(as_role(day.url, role))

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("SELECT * FROM payment_service.payments")

    await connection.close()


async def test_an_answer_that_is_written_in_another_way_says_the_same(shop):
    # given
    await shop.sql(
        "UPDATE order_service.idempotency SET body = convert_to(convert_from(body, 'UTF8')::jsonb::text, 'UTF8')"
    )

    # when
    broken = await shop.broken(only=("I1",))

    # then
    assert broken == {}


async def test_what_may_have_been_dropped_is_excused(shop):
    # given
    await shop.sql("SELECT order_service.maintain_partitions(30)")
    await shop.sql(
        """INSERT INTO payment_service.inbox VALUES (payment_service.first_id(current_date - 40));
           INSERT INTO payment_service.inbox VALUES (payment_service.first_id(current_date - 1))"""
    )

    # when
    broken = await shop.broken(only=("E4",))

    # then
    assert [row["message_id"].int >> 80 for row in broken["E4"]] == [await _midnight(shop, 1)]


@pytest.mark.parametrize(("since", "reported"), [(None, [20, 2]), (10, [2])])
async def test_what_was_dropped_is_what_the_shop_has_noted_however_young_its_partitions_are(shop, since, reported):
    # given
    await shop.sql("UPDATE order_service.kept SET since = current_date - $1::int WHERE parcels = 'outbox'", since)
    for days in (20, 2):
        await shop.sql(
            "INSERT INTO payment_service.inbox VALUES (payment_service.first_id(current_date - $1::int))", days
        )

    # when
    broken = await shop.broken(only=("E4",))

    # then
    assert sorted(row["message_id"].int >> 80 for row in broken["E4"]) == [await _midnight(shop, d) for d in reported]


async def _midnight(shop, days) -> int:
    [row] = await shop.sql("SELECT payment_service.first_id(current_date - $1::int) AS id", days)
    return row["id"].int >> 80
