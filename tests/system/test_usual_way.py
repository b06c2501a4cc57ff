"""The usual way, which `ordermill bench` measures beside us, does the whole work and does it correctly."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import aio_pika
import psutil
import pytest

from tests.support.eventually import eventually
from tests.support.usual_way import UsualWay, a_usual_way

ORDERS = 30
SETTLED_WITHIN = 60
PRODUCTS = {
    "MUG-RED": {"price": 1000, "stock": 1000},
    "MUG-BLUE": {"price": 250, "stock": 1000},
    "LAST-ONE": {"price": 100, "stock": 1},
}
ROWS_OF_AN_ORDER = {
    "orders": 1,
    "order_history": 3,
    "idempotency_keys": 1,
    "reservations": 1,
    "stock_movements": 2,
    "tasks": 1,
    "payments": 1,
    "payment_attempts": 1,
    "ledger": 1,
    "provider_charges": 1,
    "notifications": 1,
    "outbox": 5,
    "inbox": 6,
}


@pytest.fixture(scope="module")
async def usual(postgres: str, rabbitmq: str) -> AsyncIterator[UsualWay]:
    """It runs for all tests of this file, and ends with all its processes."""
    async with a_usual_way(postgres, rabbitmq, PRODUCTS) as running:
        assert running.processes.keys() == {"api", "worker"}
        yield running
    assert not any(psutil.pid_exists(process) for process in running.processes.values())


async def rows(usual: UsualWay) -> dict[str, int]:
    return {table: await usual.count(table) for table in ROWS_OF_AN_ORDER}


async def all_quiet(usual: UsualWay) -> bool:
    """Whether every order has come to an end, its mail is sent, its task open, and every event published."""
    open_orders = await usual.count("orders", "status IN ('pending', 'awaiting_payment')")
    confirmed = await usual.count("orders", "status = 'confirmed'")
    sent = await usual.count("notifications", "status = 'sent'")
    unpublished = await usual.count("outbox", "published_at IS NULL")
    return open_orders == unpublished == 0 and confirmed == sent == await usual.count("tasks")


async def redeliver(rabbitmq: str, usual: UsualWay) -> int:
    """Publishes every event of the outbox again, as a relay that had crashed would; says how many."""
    told = await usual.database.fetch("SELECT topic, payload FROM outbox ORDER BY id")
    async with await aio_pika.connect(rabbitmq) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("usual.events", ensure=False)
        for event in told:
            message = aio_pika.Message(event["payload"].encode(), content_type="application/json")
            await exchange.publish(message, event["topic"])
    return len(told)


async def nothing_waits(rabbitmq: str) -> bool:
    """Whether all queues are empty, that of dead letters, too; what is being handled is not counted."""
    names = [
        "inventory.order.created", "order.stock.reserved", "order.stock.rejected", "order.payment.succeeded",
        "order.payment.failed", "payment.order.payment_requested", "inventory.order.confirmed",
        "notification.order.confirmed", "dead",
    ]  # fmt: skip
    async with await aio_pika.connect(rabbitmq) as connection:
        channel = await connection.channel()
        queues = [await channel.declare_queue(f"usual.{name}", passive=True) for name in names]
    return not any(queue.declaration_result.message_count for queue in queues)


async def test_every_order_is_confirmed_once_with_rows_in_every_table(usual: UsualWay) -> None:
    token = usual.token()
    before = await rows(usual)

    answers = await asyncio.gather(*(usual.order(token) for _ in range(ORDERS)))

    assert [answer.status_code for answer in answers] == [201] * ORDERS
    assert {answer.json()["total"]["amount"] for answer in answers} == {1500}
    await eventually(lambda: all_quiet(usual), within=SETTLED_WITHIN)
    written = {table: count - before[table] for table, count in (await rows(usual)).items()}
    assert written == {table: count * ORDERS for table, count in ROWS_OF_AN_ORDER.items()}
    assert await usual.count("orders", "status = 'confirmed'") == ORDERS
    assert await usual.database.fetchval("SELECT reserved FROM stock WHERE sku = 'MUG-BLUE'") == 2 * ORDERS


async def test_a_repeated_key_is_given_the_first_answer_again(usual: UsualWay) -> None:
    token = usual.token()
    first = await usual.order(token, "once")
    orders = await usual.count("orders")

    again = await usual.order(token, "once")
    other = await usual.order(token, "once", note="something else")

    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.status_code == 422
    assert await usual.count("orders") == orders


async def test_who_has_no_valid_token_orders_nothing(usual: UsualWay) -> None:
    orders = await usual.count("orders")
    head, payload, signature = usual.token().split(".")
    forged = ".".join((head, payload, ("B" if signature[0] == "A" else "A") + signature[1:]))

    answer = await usual.order(forged)

    assert answer.status_code == 401
    assert await usual.count("orders") == orders


async def test_a_message_that_comes_again_has_no_second_effect(usual: UsualWay, rabbitmq: str) -> None:
    await usual.order(usual.token())
    await eventually(lambda: all_quiet(usual), within=SETTLED_WITHIN)
    before = await rows(usual)
    reserved = await usual.database.fetchval("SELECT sum(reserved) FROM stock")

    assert await redeliver(rabbitmq, usual) >= ROWS_OF_AN_ORDER["outbox"]

    after = await usual.order(usual.token())
    order_id = UUID(await usual.database.fetchval("SELECT id::text FROM orders ORDER BY created_at DESC LIMIT 1"))
    assert after.status_code == 201
    await eventually(lambda: all_quiet(usual), within=SETTLED_WITHIN)
    assert await usual.count("orders", f"id = '{order_id}' AND status = 'confirmed'") == 1
    assert await rows(usual) == {table: count + ROWS_OF_AN_ORDER[table] for table, count in before.items()}
    assert await usual.database.fetchval("SELECT sum(reserved) FROM stock") == reserved + 3
    await eventually(lambda: nothing_waits(rabbitmq), within=SETTLED_WITHIN)


async def test_stock_that_is_gone_and_a_card_that_is_declined_end_the_order(usual: UsualWay) -> None:
    token, line = usual.token(), [{"sku": "LAST-ONE", "quantity": 2}]

    await usual.order(token, lines=line)
    await usual.order(token, payment={"token": "tok_declined"})

    await eventually(lambda: all_quiet(usual), within=SETTLED_WITHIN)
    assert await usual.count("orders", "status = 'rejected' AND failure = 'insufficient_stock'") == 1
    assert await usual.count("orders", "status = 'payment_failed' AND failure = 'card_declined'") == 1
    assert await usual.database.fetchval("SELECT reserved FROM stock WHERE sku = 'LAST-ONE'") == 0
