"""Each promise is broken on purpose, on a copy of the shop; what fires is it, and nothing else that need not."""

from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from chassis.ids import new_id
from ordermill.audit import INVARIANTS, Told


@dataclass(frozen=True)
class Breach:
    """What is done to the shop; the orders' ids stand in it by name. ``also`` breaks with it, of necessity."""

    id: str
    how: str
    sql: str = ""
    also: frozenset[str] = frozenset()
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.id}, {self.how}"


def _history(name: str, *moves: tuple[str, str]) -> str:
    """Versions that were never decided: each from a status to another."""
    rows = "".join(
        f"""
        INSERT INTO order_service.order_history
        SELECT order_id, version + 1, '{before}', '{after}', payment_status, fulfilment_status, actor, 'mischief',
            gen_random_uuid(), at
        FROM order_service.order_history WHERE order_id = '{{{name}}}' ORDER BY version DESC LIMIT 1;
        """  # noqa: S608 -- our own words
        for before, after in moves
    )
    return rows + f"UPDATE order_service.orders SET version = version + {len(moves)} WHERE id = '{{{name}}}';"  # noqa: S608 -- our own words


COPY = """
    INSERT INTO order_service.outbox (id, topic, events, count, published_at)
    SELECT first_id(current_date), topic, {events}, count, now() FROM order_service.outbox
    WHERE topic = 'order.shipped' AND events LIKE '%{{shipped}}%';
"""

BREACHES = [
    Breach("S1", "a unit too many", "UPDATE inventory_service.stock SET on_hand = on_hand + 1 WHERE sku = 'LAMP'"),
    Breach(
        "S1",
        "movements of a shelf that is not there",
        "UPDATE inventory_service.stock SET on_hand = 0, reserved = 0, warehouse = 'south' WHERE sku = 'LAMP'",
        also=frozenset({"S2"}),
    ),
    Breach(
        "S2", "a unit held for nobody", "UPDATE inventory_service.stock SET reserved = reserved + 1 WHERE sku = 'LAMP'"
    ),
    Breach(
        "S2",
        "an order that holds more than was moved",
        """UPDATE inventory_service.reservations SET holds = jsonb_set(holds, '{{0,quantity}}', '7')
           WHERE order_id = '{confirmed}'""",
    ),
    Breach(
        "S3",
        "more is held than there is",
        """ALTER TABLE inventory_service.stock DROP CONSTRAINT never_oversold;
           UPDATE inventory_service.stock SET backorder_limit = 0 WHERE sku = 'FREE'""",
    ),
    Breach(
        "S4",
        "other lines left than were ordered",
        """UPDATE order_service.orders SET lines = jsonb_set(jsonb_set(lines, '{{0,quantity}}', '1'),
               '{{0,unit_price}}', '3897') WHERE id = '{delivered}'""",
    ),
    Breach(
        "S4",
        "a unit left once more",
        """INSERT INTO inventory_service.stock_movements
           SELECT gen_random_uuid(), gen_random_uuid(), sku, warehouse, kind, -1, 0, reason, order_id, actor, created_at
           FROM inventory_service.stock_movements WHERE kind = 'ship' AND order_id = '{delivered}';
           UPDATE inventory_service.stock SET on_hand = on_hand - 1 WHERE sku = 'MUG-RED'""",
    ),
    Breach(
        "S5",
        "a hold for no order",
        """INSERT INTO inventory_service.reservations
           VALUES (gen_random_uuid(), gen_random_uuid(), 'held', NULL, '[]', '[]', '[]', 1, now(), now());
           UPDATE inventory_service.reservations SET order_id = '00000000-0000-7000-8000-000000000001'
           WHERE holds = '[]' AND status = 'held'""",
    ),
    Breach(
        "S6",
        "confirmed, and not committed",
        "UPDATE inventory_service.reservations SET status = 'held' WHERE order_id = '{confirmed}'",
    ),
    Breach(
        "P1",
        "charged twice",
        """INSERT INTO provider.charges (key, order_id, token, amount, currency, status, reference)
           SELECT key || ':again', order_id, token, amount, currency, status, reference FROM provider.charges
           WHERE order_id = '{confirmed}'""",
        also=frozenset({"P4", "P5"}),
    ),
    Breach(
        "P2",
        "the charge says that more is back than was returned",
        "UPDATE provider.charges SET refunded = 1 WHERE order_id = '{confirmed}'",
    ),
    Breach(
        "P2",
        "more is returned than was captured",
        """INSERT INTO provider.refunds (key, charge_key, order_id, amount, status, reference)
           SELECT 'ref:again', key, order_id, amount + 1, 'succeeded', 're_again' FROM provider.charges
           WHERE order_id = '{confirmed}'""",
        also=frozenset({"P4", "P5"}),
    ),
    Breach(
        "P3",
        "the total is another one",
        """UPDATE order_service.orders SET lines_total = lines_total + 1, total = total + 1,
               lines = jsonb_set(lines, '{{1,unit_price}}', '500')
           WHERE id = '{cancelled after it was paid}'""",
    ),
    Breach("P4", "an entry is missing", "DELETE FROM payment_service.ledger WHERE order_id = '{confirmed}'"),
    Breach(
        "P4",
        "a payment says what the ledger does not",
        "UPDATE payment_service.payments SET refunded = 1 WHERE order_id = '{confirmed}'",
    ),
    Breach(
        "P4",
        "money was taken, and the payment says that it failed",
        "UPDATE payment_service.payments SET status = 'failed' WHERE order_id = '{confirmed}'",
    ),
    Breach(
        "P5",
        "a refund that was never made",
        "UPDATE order_service.orders SET refunded_total = 1 WHERE id = '{confirmed}'",
    ),
    Breach(
        "P5",
        "cancelled, and still charged",
        """WITH gone AS (DELETE FROM provider.refunds WHERE order_id = '{cancelled after it was paid}' RETURNING key)
           DELETE FROM payment_service.ledger l USING gone WHERE l.key = gone.key;
           UPDATE provider.charges SET refunded = 0 WHERE order_id = '{cancelled after it was paid}';
           UPDATE payment_service.payments SET refunded = 0 WHERE order_id = '{cancelled after it was paid}'""",
    ),
    Breach(
        "P6",
        "nobody asks the provider",
        "UPDATE payment_service.payments SET status = 'processing' WHERE order_id = '{confirmed}'",
        also=frozenset({"P4"}),
    ),
    Breach(
        "P6",
        "the task was closed, and the charge is still unknown",
        "UPDATE inventory_service.tasks SET status = 'completed' WHERE kind = 'check' AND order_id = '{unresolved}'",
        also=frozenset({"O3"}),
    ),
    Breach(
        "P7",
        "money of an order that nobody placed",
        """INSERT INTO provider.charges (key, order_id, token, amount, currency, status, reference)
           VALUES ('pay:none:1', '01900000-0000-7000-8000-000000000099', 'tok_ok', 5, 'EUR', 'captured', 'ch_none');
           INSERT INTO payment_service.ledger (key, payment_id, order_id, kind, amount, currency, reference, entered_at)
           VALUES ('pay:none:1', gen_random_uuid(), '01900000-0000-7000-8000-000000000099', 'capture', 5, 'EUR', '',
               now())""",
    ),
    Breach("O1", "an order was promised that is not there", asked={"told": [Told(new_id(), new_id(), "k")]}),
    Breach(
        "O3",
        "the warehouse does not know of it",
        "DELETE FROM inventory_service.tasks WHERE order_id = '{confirmed}'",
    ),
    Breach(
        "O4",
        "overdue for two minutes",
        "UPDATE order_service.orders SET due_at = now() - interval '2 min' WHERE id = '{declined}'",
    ),
    Breach("O5", "back to the beginning", _history("confirmed", ("confirmed", "pending"), ("pending", "confirmed"))),
    Breach(
        "O6",
        "a version without an entry",
        "UPDATE order_service.orders SET version = version + 1 WHERE id = '{confirmed}'",
    ),
    Breach(
        "O6",
        "a gap",
        """DELETE FROM order_service.order_history
           WHERE order_id = '{paid at the second try}' AND cause = 'payment.failed'""",
    ),
    Breach(
        "O6",
        "the history of no order",
        """INSERT INTO order_service.order_history
           SELECT '00000000-0000-7000-8000-000000000001', version, from_status, to_status, payment_status,
               fulfilment_status, actor, 'mischief', gen_random_uuid(), at
           FROM order_service.order_history WHERE order_id = '{confirmed}'""",
    ),
    Breach(
        "O7",
        "a delivered order goes on",
        _history("delivered", ("delivered", "shipped"), ("shipped", "delivered")),
        also=frozenset({"O5"}),
    ),
    Breach(
        "O8",
        "a line costs more",
        """UPDATE order_service.orders SET lines = jsonb_set(lines, '{{0,unit_price}}', '1') WHERE id = '{rejected}'""",
    ),
    Breach(
        "E1",
        "a parcel waits",
        """UPDATE order_service.outbox SET published_at = NULL, created_at = now()
           WHERE topic = 'order.shipped' AND events LIKE '%{shipped}%'""",
    ),
    Breach(
        "E2",
        "a parcel waits for a minute",
        """UPDATE order_service.outbox SET published_at = NULL, created_at = now() - interval '1 min',
               not_before = now() - interval '1 min' WHERE topic = 'order.shipped' AND events LIKE '%{shipped}%'""",
        also=frozenset({"E1"}),
    ),
    Breach(
        "E3",
        "a listener has not heard of it",
        """DELETE FROM payment_service.inbox WHERE message_id = (
               SELECT id FROM order_service.outbox WHERE topic = 'order.payment_requested' LIMIT 1)""",
    ),
    Breach("E4", "nobody said so", "INSERT INTO payment_service.inbox VALUES (payment_service.first_id(current_date))"),
    Breach(
        "E5",
        "one cause, two versions",
        """INSERT INTO order_service.order_history
           SELECT order_id, version + 1, to_status, to_status, payment_status, fulfilment_status, actor, cause,
               cause_id, at
           FROM order_service.order_history WHERE order_id = '{confirmed}' ORDER BY version DESC LIMIT 1;
           UPDATE order_service.orders SET version = version + 1 WHERE id = '{confirmed}'""",
    ),
    Breach("E5", "one event, two parcels", COPY.format(events="events")),
    Breach(
        "E6",
        "two events of one step",
        COPY.format(events="""regexp_replace(events, '"id":"[^"]+"', '"id":"' || gen_random_uuid() || '"')"""),
    ),
    Breach(
        "E6",
        "a step that nobody was told of",
        "DELETE FROM order_service.outbox WHERE topic = 'order.shipped' AND events LIKE '%{shipped}%'",
    ),
    Breach(
        "E6",
        "a capture that nobody was told of",
        """WITH gone AS (
               DELETE FROM payment_service.outbox WHERE topic = 'payment.succeeded' AND events LIKE '%{confirmed}%'
               RETURNING id)
           DELETE FROM order_service.inbox i USING gone WHERE i.message_id = gone.id""",
    ),
    Breach(
        "E7",
        "an event waits",
        """INSERT INTO order_service.deferred
               (message_id, index, topic, subject, body, attempts, not_before, last_error, state)
           VALUES (gen_random_uuid(), 0, 'stock.reserved', 'x', '[]', 1, now(), 'KeyError', 'deferred')""",
    ),
    Breach(
        "E8",
        "an event is parked",
        """INSERT INTO order_service.deferred
               (message_id, index, topic, subject, body, attempts, not_before, last_error, state)
           VALUES (gen_random_uuid(), 0, 'stock.reserved', 'x', '[]', 8, now(), 'KeyError', 'parked')""",
    ),
    Breach("E8", "what was injected is gone", "DELETE FROM order_service.deferred"),
    Breach(
        "N1",
        "a mail is missing",
        """DELETE FROM notification_service.notifications
           WHERE template = 'order_confirmed' AND order_id = '{confirmed}'""",
    ),
    Breach(
        "N1",
        "a mail about nothing",
        """INSERT INTO notification_service.notifications
           SELECT gen_random_uuid(), notification_service.first_id(current_date), template, channel, recipient, user_id,
               order_id, data, status, attempts, resent, reason, address, created_at, queued_at, due_at, sent_at,
               version
           FROM notification_service.notifications WHERE template = 'order_confirmed' AND order_id = '{confirmed}'""",
    ),
    Breach(
        "N2",
        "a mail says confirmed, and the order never was",
        "UPDATE order_service.orders SET confirmed_at = NULL WHERE id = '{cancelled after it was paid}'",
    ),
    Breach(
        "I1",
        "an answer about somebody else's order",
        """UPDATE order_service.idempotency SET user_id = gen_random_uuid()
           WHERE headers ->> 'Location' = (SELECT max(headers ->> 'Location') FROM order_service.idempotency)""",
    ),
    Breach(
        "I1",
        "an answer that shows another order than it says",
        """UPDATE order_service.idempotency
           SET body = convert_to(replace(convert_from(body, 'UTF8'), '"id":"ord_', '"id":"ord_0'), 'UTF8')
           WHERE operation = 'createOrder'""",
    ),
    Breach(
        "A1",
        "two refresh tokens of one session",
        """DROP INDEX auth_service.one_active_token_a_session;
           UPDATE auth_service.refresh_tokens SET state = 'active'""",
    ),
    Breach(
        "X1",
        "a card number in an event",
        """UPDATE inventory_service.outbox SET events = replace(events, 'DHL', '4111 1111 1111 1111')
           WHERE topic = 'shipment.dispatched'""",
    ),
    Breach(
        "X1",
        "a card number in another event, and alone",
        """UPDATE inventory_service.outbox SET events = replace(events, '"DHL"', '378282246310005')
           WHERE topic = 'shipment.dispatched'""",
    ),
    Breach(
        "X1",
        "a password in an event",
        """UPDATE auth_service.outbox SET events = replace(events, '"locale":', '"password":"secret","locale":')
           WHERE topic = 'user.registered'""",
    ),
    Breach("X2", "orders read payments", "GRANT USAGE ON SCHEMA payment_service TO order_service"),
]


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.name)
async def test_a_broken_promise_is_found_and_nothing_else(shop, breach: Breach):
    # given
    if breach.sql:
        await shop.sql("SET search_path = order_service;" + breach.sql.format(**shop.orders))

    # when
    broken = await shop.broken(**breach.asked)

    # then
    assert broken.keys() == {breach.id, *breach.also}, broken


async def test_two_orders_under_one_key_are_found(shop):
    # given
    one = shop.told[0]
    other = next(told for told in shop.told if told.order_id != one.order_id)

    # when
    broken = await shop.broken(told=[one, Told(other.order_id, one.customer_id, one.key)])

    # then
    assert broken.keys() == {"O2"}


async def test_a_key_whose_transaction_does_not_end_is_found(shop):
    # given
    connection = await asyncpg.connect(shop.url)
    await connection.execute("SELECT pg_advisory_lock(-4611686018427387904)")

    # when
    broken = await shop.broken()

    # then
    await connection.close()
    assert broken.keys() == {"I2"}


def test_every_promise_is_broken_by_a_test():
    assert {breach.id for breach in BREACHES} | {"O2", "I2"} == INVARIANTS.keys()
