"""What the chassis needs of PostgreSQL, asked of it and of the simulation's memory alike."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from chassis.deferred import Deferred, DeferredEvents
from chassis.idempotency import Answer, Claim, Claims, KeyInUse
from chassis.ids import new_id
from chassis.inbox import Inbox
from chassis.outbox import Outbox
from chassis.relay import Relay
from chassis.statements import Bulk
from chassis.store import Change
from inventory_service.domain.stock import Stock
from inventory_service.domain.task import Task
from inventory_service.store import STORE as INVENTORY
from order_service import store as orders
from order_service.domain.order import Order
from order_service.domain.pricing import Product
from payment_service.store import STORE as PAYMENTS
from tests.simulation.shop import SERVICES
from tests.support import inventory_service as stock
from tests.support import order_service as order
from tests.support import payment_service as pay
from tests.support.memory.keeping import kept, loaded

FIRST, SECOND, THIRD = sorted(new_id() for _ in range(3))
ORDER = order.ORDER
SCHEMA = "order_service"
CLAIM = Claim(UUID(int=7), "createOrder", "key-1", b"print")
PARCELS = Bulk.insert(SERVICES[SCHEMA].metadata.tables[f"{SCHEMA}.outbox"], "id", "topic", "events", "count")


def deferred(message: UUID = FIRST, index: int = 0, **given) -> Deferred:
    facts = {"topic": "order.created", "subject": "one", "body": "[]", "attempts": 0, "error": "waits", "careful": True}
    return Deferred(message_id=message, index=index, **facts | given)


# --- the inbox


async def claimed(database, *messages, subjects=()):
    async with database.transaction() as tx:
        return await Inbox(SCHEMA).claim(tx, messages, subjects)


async def test_a_parcel_is_claimed_once(at):
    # when
    first, again = await claimed(at.order_service, FIRST, SECOND, FIRST), await claimed(at.order_service, SECOND, THIRD)

    # then
    assert (first.fresh, again.fresh) == ({FIRST, SECOND}, {THIRD})
    async with at.order_service.transaction() as tx:
        await DeferredEvents(SCHEMA).add(tx, [deferred(UUID(int=1))])
        assert await Inbox(SCHEMA).unheard(tx, [FIRST, UUID(int=1), UUID(int=2)]) == {UUID(int=2)}


@pytest.mark.parametrize("commits", [True, False])
async def test_a_parcel_that_another_holds_is_waited_for(at, commits):
    # given
    async with AsyncExitStack() as stack:
        other = at.order_service.transaction()
        tx = await stack.enter_async_context(other)
        await Inbox(SCHEMA).claim(tx, [FIRST], [])
        waiting = asyncio.create_task(claimed(at.order_service, FIRST))

        # when
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        if not commits:
            stack.pop_all()
            await other.__aexit__(ArithmeticError, ArithmeticError(), None)

    # then
    assert (await waiting).fresh == (frozenset() if commits else {FIRST})


async def test_subjects_that_wait_are_held_up_and_parked_ones_are_not(at):
    # given
    async with at.order_service.transaction() as tx:
        await DeferredEvents(SCHEMA).add(tx, [deferred(), deferred(SECOND, subject="two", parked=True)])

    # when
    found = await claimed(at.order_service, subjects=("one", "two", "three"))

    # then
    assert found.held_up == {"one"}


# --- deferred events


async def test_the_first_event_of_each_subject_is_due_and_taken_once(at):
    # given
    events, database = DeferredEvents(SCHEMA), at.order_service
    async with database.transaction() as tx:
        waiting = [deferred(), deferred(index=1), deferred(SECOND, subject="two"), deferred(SECOND, 1, parked=True)]
        await events.add(tx, [*waiting, deferred(attempts=5)])

    # when
    async with database.transaction() as tx:
        due = await events.due(tx, 10)
        taken = await events.take(tx, [*due, deferred(THIRD), deferred(SECOND, 1)])

    # then
    assert {(one.key, one.attempts, one.careful) for one in due} == {((FIRST, 0), 0, True), ((SECOND, 0), 0, True)}
    assert taken == {(FIRST, 0), (SECOND, 0)}
    async with database.transaction() as tx:
        assert [one.key for one in await events.due(tx, 10)] == [(FIRST, 1)]


async def test_a_start_is_counted_and_may_be_taken_back(at):
    # given
    events, database, one = DeferredEvents(SCHEMA), at.order_service, deferred()
    async with database.transaction() as tx:
        await events.add(tx, [one])

    # when
    async with database.transaction() as tx:
        states = [await events.start(tx, one), await events.start(tx, one)]
    async with database.transaction() as tx:
        await events.uncount(tx, one)

    # then
    assert states == ["deferred", "gone"]
    async with database.transaction() as tx:
        assert [(each.attempts, each.error) for each in await events.due(tx, 10)] == [(0, "waits")]


async def test_the_third_start_parks(at):
    # given
    events, twice = DeferredEvents(SCHEMA), deferred(attempts=2)
    async with at.order_service.transaction() as tx:
        await events.add(tx, [twice])

    # when
    async with at.order_service.transaction() as tx:
        state = await events.start(tx, twice)

    # then
    assert state == "parked"
    async with at.order_service.transaction() as tx:
        assert await events.take(tx, [twice]) == set()


async def test_what_is_parked_is_not_due(at):
    # given
    events, database = DeferredEvents(SCHEMA), at.order_service
    async with database.transaction() as tx:
        await events.add(tx, [deferred()])

    # when
    async with database.transaction() as tx:
        await events.park(tx, deferred(), "cannot be read")

    # then
    async with database.transaction() as tx:
        assert await events.due(tx, 10) == []
        assert await events.start(tx, deferred()) == "gone"


# --- idempotency keys


async def test_a_key_is_one_transactions_and_its_answer_everybodys(at):
    # given
    claims, database, answer = Claims(SCHEMA), at.order_service, Answer(b"{}", 201, {"ETag": '"1"'})
    async with database.transaction() as tx, database.transaction() as other:
        # when
        mine, theirs = await claims.take(tx, [CLAIM]), await claims.take(other, [CLAIM])
        await claims.store(tx, [(CLAIM, answer)])

    # then
    assert mine == {CLAIM.scope: None}
    assert isinstance(theirs[CLAIM.scope], KeyInUse)
    async with database.transaction() as tx:
        assert await claims.take(tx, [CLAIM]) == {CLAIM.scope: (CLAIM, answer)}
        assert await claims.expire(tx) == 0


# --- the relay


async def test_due_parcels_come_in_order_until_they_are_marked_or_delayed(at):
    # given
    relay, database = Relay(SCHEMA, at.order_service, ""), at.order_service
    connection = await database.connect()
    async with database.transaction() as tx:
        rows = [(id_, "order.created", "[]", 1) for id_ in (THIRD, FIRST, SECOND)]
        await tx.run(PARCELS, rows)

    # when
    before = [(row["id"], row["not_before"]) for row in await connection.fetch(relay._due)]
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    await connection.execute(relay._mark, [FIRST, SECOND], [before[0][1], long_ago])
    await connection.execute(relay._delay, [THIRD], 0.9)

    # then
    assert [id_ for id_, _ in before] == [FIRST, SECOND, THIRD]
    assert [row["id"] for row in await connection.fetch(relay._due)] == [SECOND]
    connection.terminate()


async def test_the_relays_lock_is_one_connections_until_it_ends(at):
    # given
    statement, database = "SELECT pg_try_advisory_lock($1)", at.order_service
    first, second = await database.connect(), await database.connect()

    # when
    held = [await each.fetchval(statement, 4711) for each in (first, second, first)]
    first.terminate()

    # then
    assert held == [True, False, True]
    while not await second.fetchval(statement, 4711):  # noqa: ASYNC110 -- PostgreSQL notices an end after a moment
        await asyncio.sleep(0.01)
    second.terminate()


async def test_whoever_listens_is_woken_by_the_commit(at):
    # given
    database, heard = at.order_service, asyncio.Event()
    connection = await database.connect()
    await connection.add_listener(f"{SCHEMA}_outbox", lambda *_: heard.set())

    # when
    async with database.transaction() as tx:
        await tx.run(Outbox(SCHEMA)._add, [(FIRST, "order.created", "[]", 1)])
        tx.notify(f"{SCHEMA}_outbox", "")
        assert not heard.is_set()

    # then
    async with asyncio.timeout(5):
        await heard.wait()
    connection.terminate()


# --- transactions


async def undone_by(failure: type[Exception], tx, store, thing) -> None:
    async with tx.savepoint():
        await store.save(tx, {(type(thing), thing.key): Change(None, thing)})
        await tx.flush()
        raise failure


async def test_what_a_savepoint_holds_is_undone_alone(at):
    # given
    database, one, other = at.order_service, order.a_product(), order.a_product(order.TEA)

    # when
    async with database.transaction() as tx:
        await orders.STORE.save(tx, {(Product, one.sku): Change(None, one)})
        with pytest.raises(ArithmeticError):
            await undone_by(ArithmeticError, tx, orders.STORE, other)

    # then
    assert await loaded(database, orders.STORE, Product, one.sku) == one
    assert await loaded(database, orders.STORE, Product, other.sku) is None


async def test_after_a_failed_statement_nothing_is_kept_and_the_commit_says_nothing(at):
    # given
    database, one = at.order_service, order.an_order()

    # when
    async with database.transaction() as tx:
        await orders.STORE.save(tx, {(Order, one.id): Change(None, one)})
        await tx.run(orders._update_orders, [(one.id, *row_of(replace(one, version=0)))])
        with pytest.raises(asyncpg.CheckViolationError):
            await tx.flush()
        with pytest.raises(asyncpg.InFailedSQLTransactionError):
            await orders.list_due(tx)

    # then
    assert await loaded(database, orders.STORE, Order, one.id) is None


def row_of(one: Order) -> tuple:
    return tuple(getattr(one, name) for name in orders._update_orders.columns[1:])


async def test_a_failure_inside_of_a_savepoint_is_over_with_it(at):
    # given
    database, one = at.inventory_service, stock.a_stock(on_hand=1, reserved=2)

    # when
    async with database.transaction() as tx:
        with pytest.raises(asyncpg.CheckViolationError):
            await undone_by(ArithmeticError, tx, INVENTORY, one)
        task = stock.a_task()
        await INVENTORY.save(tx, {(Task, task.id): Change(None, task)})

    # then
    assert await loaded(database, INVENTORY, Task, task.id) == task


async def test_what_is_not_committed_is_nobody_elses(at):
    # given
    database, one = at.order_service, order.a_product()

    # when
    async with database.transaction() as tx:
        await orders.STORE.save(tx, {(Product, one.sku): Change(None, one)})
        seen = await loaded(database, orders.STORE, Product, one.sku)

    # then
    assert seen is None
    assert await loaded(database, orders.STORE, Product, one.sku) == one


async def test_a_locked_row_is_waited_for_and_seen_as_it_was_left(at):
    # given
    database, before = at.order_service, order.an_order()
    await kept(database, orders.STORE, before)
    after = replace(before, version=2)

    # when
    async with database.transaction() as tx:
        await orders.STORE.load(tx, [(Order, before.id)])
        waiting = asyncio.create_task(loaded(database, orders.STORE, Order, before.id))
        await asyncio.sleep(0.1)
        await orders.STORE.save(tx, {(Order, before.id): Change(before, after)})
        assert not waiting.done()

    # then
    assert await waiting == after


async def test_two_that_wait_for_each_other_are_parted(at):
    # given
    database, names = at.inventory_service, ("A", "B")
    await kept(database, INVENTORY, *(stock.a_stock(sku, on_hand=1) for sku in names))

    async def lock(first: str, second: str) -> None:
        async with database.transaction() as tx:
            await INVENTORY.load(tx, [(Stock, first)])
            await asyncio.sleep(0.1)
            await INVENTORY.load(tx, [(Stock, second)])

    # when
    ended = await asyncio.gather(lock("A", "B"), lock("B", "A"), return_exceptions=True)

    # then
    assert [type(each) for each in ended if each is not None] == [asyncpg.DeadlockDetectedError]


async def test_twins_that_are_new_at_once_collide(at):
    # given
    database, one = at.payment_service, pay.a_desk(pay.asked()).payment

    # when
    ended = await asyncio.gather(*(kept(database, PAYMENTS, one) for _ in range(2)), return_exceptions=True)

    # then
    assert sorted(type(each).__name__ for each in ended) == ["NoneType", "UniqueViolationError"]
