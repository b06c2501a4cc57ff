"""What the services keep, kept by PostgreSQL and by the simulation's memory alike."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from chassis.ids import new_id
from chassis.statements import Bulk
from inventory_service import tables as inventory_tables
from inventory_service.domain.movement import Kind
from inventory_service.domain.reservation import Reservation
from inventory_service.domain.stock import Stock
from inventory_service.domain.task import Task
from inventory_service.store import STORE as INVENTORY
from inventory_service.store.shelves import find_order_of_shipment
from notification_service import store as notifications
from notification_service.domain.notification import Notification, Status
from notification_service.domain.reader import Reader
from order_service import store as orders
from order_service.domain.order import Order
from order_service.domain.pricing import Product
from payment_service.domain.notice import Notice
from payment_service.domain.payment import Payment
from payment_service.store import STORE as PAYMENTS
from payment_service.store.calls import claim_calls, give_back_calls
from payment_service.store.listings import find_payment
from payment_service.store.notices import list_due_notices
from tests.support import inventory_service as stock
from tests.support import notification_service as mail
from tests.support import order_service as order
from tests.support import payment_service as pay
from tests.support.memory.keeping import changed, kept, loaded

FIRST, SECOND, THIRD = sorted(new_id() for _ in range(3))
ORDER = order.ORDER
LEASE = timedelta(seconds=30)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def test_orders_are_as_they_were_saved_and_due_when_their_time_has_come(at):
    # given
    database, waiting = at.order_service, replace(order.an_awaiting_order(), settle_by=LONG_AGO, pay_by=None)
    ended, product = order.a_cancelled_order(), order.a_product()
    later = replace(waiting, id=order.OrderId(SECOND), settle_by=LONG_AGO.replace(year=2999))

    # when
    await kept(database, orders.STORE, waiting, later, product)
    await kept(database, orders.STORE, replace(product, version=3), replace(ended, id=order.OrderId(THIRD)))
    await kept(database, orders.STORE, replace(product, version=2))

    # then
    assert await loaded(database, orders.STORE, Order, THIRD) == replace(ended, id=order.OrderId(THIRD))
    assert await loaded(database, orders.STORE, Product, product.sku) == replace(product, version=3)
    async with database.transaction() as tx:
        assert await orders.list_due(tx) == [waiting.id]


async def test_reservations_come_with_their_shelves_and_tasks(at):
    # given
    database, shelf, task = at.inventory_service, stock.a_stock(on_hand=5, reserved=2), stock.a_fulfil_task()
    held = stock.a_reservation(stock.Status.COMMITTED, task_ids=(task.id,))
    shipped = stock.a_step().movement(Kind.SHIP, FIRST, shelf.sku, "main", delta=-1, reserved_delta=-1)
    await kept(database, INVENTORY, shelf, task, held, stock.a_product(), shipped)

    # when
    async with database.transaction() as tx:
        found = await INVENTORY.load(tx, [(Reservation, held.order_id), (stock.Offer, shelf.sku)])
        order_id = await find_order_of_shipment(tx, FIRST)

    # then
    assert found[Reservation, held.order_id] == held
    assert (found[Task, task.id], found[Stock, shelf.sku]) == (task, shelf)
    assert found[stock.Offer, shelf.sku] == stock.Offer(sku=shelf.sku)
    assert order_id == held.order_id
    with pytest.raises(asyncpg.UniqueViolationError):
        await kept(database, INVENTORY, shipped)


async def shelved(database, row) -> None:
    async with database.transaction() as tx:
        await tx.run(Bulk.insert(inventory_tables.stock), [row])


@pytest.mark.parametrize("row", [("A", "main", 1, 2, 0, 0, False, 1, None), ("A", "main", -1, 0, 0, 0, False, 1, None)])
async def test_the_shelves_refuse_what_cannot_be(at, row):
    with pytest.raises(asyncpg.CheckViolationError):
        await shelved(at.inventory_service, row)


async def test_payments_come_with_their_attempts_and_refunds(at):
    # given
    database, desk = at.payment_service, pay.a_captured_payment()
    desk.hears(pay.give_back(pay.euro(100)))

    # when
    await kept(database, PAYMENTS, desk.payment)

    # then
    assert await loaded(database, PAYMENTS, Payment, pay.ORDER) == desk.payment
    async with database.transaction() as tx:
        assert await find_payment(tx, desk.payment.id, None) == desk.payment


async def test_a_second_live_charge_cannot_be_stored(at):
    # given
    database, payment = at.payment_service, pay.a_desk(pay.asked()).payment
    await kept(database, PAYMENTS, payment)
    [first] = payment.attempts
    second = first._replace(number=2, call=first.call._replace(key="another"))

    # then
    with pytest.raises(asyncpg.UniqueViolationError):
        await changed(database, PAYMENTS, payment, replace(payment, attempts=(first, second)))


async def test_due_calls_are_claimed_once_until_their_lease_ends_or_they_are_given_back(at):
    # given
    database, desk = at.payment_service, a_desk_of_long_ago(pay.asked())
    desk.charge_answered(pay.DONE)
    desk.hears(pay.give_back(pay.euro(100)))
    other = a_desk_of_long_ago(pay.asked()).payment
    elsewhere = replace(other, order_id=pay.OrderId(FIRST), id=SECOND)
    await kept(database, PAYMENTS, desk.payment)
    await kept(database, PAYMENTS, with_key(elsewhere, "pay:2"))

    # when
    async with database.transaction() as tx:
        first = await claim_calls(tx, 10, LEASE)
        async with database.transaction() as rival:
            skipped = await claim_calls(rival, 10, LEASE)
    async with database.transaction() as tx:
        again = await claim_calls(tx, 10, timedelta(0))
        await give_back_calls(tx, ["pay:2", "nobody's"])
    async with database.transaction() as tx:
        given_back = await claim_calls(tx, 10, LEASE)

    # then
    refund = desk.payment.refunds[0]
    assert [(call.key, call.is_charge, call.asked_before) for call in first] == [
        ("pay:2", True, False),
        (refund.call.key, False, False),
    ]
    assert (skipped, again) == ([], [])
    assert [(call.key, call.asked_before) for call in given_back] == [("pay:2", True)]
    stored = await loaded(database, PAYMENTS, Payment, pay.ORDER)
    assert stored.refunds[0].status == "sent"


def a_desk_of_long_ago(*items) -> pay.Desk:
    desk = pay.Desk()
    desk.now = LONG_AGO
    for item in items:
        desk.hears(item)
    return desk


def with_key(payment: Payment, key: str, *, at: datetime = LONG_AGO) -> Payment:
    [first] = payment.attempts
    return replace(payment, attempts=(first._replace(call=first.call._replace(key=key, due_at=at)),))


async def test_due_calls_of_some_customers_wait_a_while_and_do_not_count(at):
    # given
    database, payment = at.payment_service, a_desk_of_long_ago(pay.asked()).payment
    sooner = replace(payment, order_id=pay.OrderId(FIRST), id=SECOND, customer_id=pay.UserId(THIRD))
    await kept(database, PAYMENTS, payment, with_key(sooner, "pay:2", at=LONG_AGO - LEASE))

    # when
    async with database.transaction() as tx:
        found = await claim_calls(tx, 1, LEASE, closed_to=[THIRD])
        again = await claim_calls(tx, 1, LEASE)

    # then
    assert [(call.key, call.customer_id) for call in found] == [(payment.attempts[0].call.key, pay.CUSTOMER)]
    assert again == []
    [waiting] = (await loaded(database, PAYMENTS, Payment, FIRST)).attempts
    assert (waiting.call.claimed, waiting.call.due_at > LONG_AGO) == (False, True)


async def test_notices_are_due_until_they_are_applied(at):
    # given
    database, desk = at.payment_service, a_desk_of_long_ago(pay.asked())
    desk.noticed(pay.DONE, "unknown")
    parked: Notice = desk.notice
    applied = replace(parked, event_id="evt_2", status=type(parked.status).APPLIED, applied_at=pay.NOW)

    # when
    await kept(database, PAYMENTS, parked, applied)

    # then
    async with database.transaction() as tx:
        assert await list_due_notices(tx, 10) == [parked]
    assert await loaded(database, PAYMENTS, Notice, applied.key) == applied


async def test_due_mails_are_claimed_once_until_their_lease_ends(at):
    # given
    database, one = at.notification_service, mail.a_notification(due_at=LONG_AGO)
    sent = {"status": Status.SENT, "sent_at": LONG_AGO, "address": "a@b.example"}
    other = mail.a_notification(id=SECOND, event_id=SECOND, **sent)
    await kept(database, notifications.STORE, one, other, mail.a_reader())
    with pytest.raises(asyncpg.UniqueViolationError):
        await kept(database, notifications.STORE, replace(one, recipient="another"))

    # when
    async with database.transaction() as tx:
        first, now = await notifications.claim_due(tx, limit=10, lease=LEASE)
    async with database.transaction() as tx:
        again = await notifications.claim_due(tx, limit=10, lease=LEASE)

    # then
    assert first == [replace(one, status=Status.SENDING, attempts=1, version=2, due_at=now + LEASE)]
    assert again == ([], None)
    assert await loaded(database, notifications.STORE, Reader, mail.CUSTOMER) == mail.a_reader()
    assert await loaded(database, notifications.STORE, Notification, one.id) == first[0]
    async with database.transaction() as tx:
        assert await notifications.forget_addresses(tx, kept_for=timedelta(0), limit=10) == 1
