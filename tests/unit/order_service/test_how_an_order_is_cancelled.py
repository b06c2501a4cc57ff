"""Cancelled means: the stock is back and the customer holds no charge."""

from datetime import timedelta

import pytest

from contracts.orders import OrderCancellationRequested, OrderCancelled, OrderDelivered, OrderShipped, RefundRequested
from contracts.types import CancelPhase, CancelReason, RefundReason, ReturnKind
from order_service.domain import cancellation, life
from order_service.domain.cancellation import OrderNotCancellable
from order_service.domain.status import OrderStatus, PaymentStatus, RefundStatus
from tests.support.order_service import (
    CUSTOMER,
    LATER,
    MUG,
    NOW,
    ORDER,
    REFUND,
    SHIPMENT,
    TEA,
    TOTAL,
    a_cancelled_order,
    a_cancelling_order,
    a_confirmed_order,
    a_declined_order,
    a_rejected_order,
    an_awaiting_order,
    an_order,
    delivered,
    dispatched,
    euro,
    heard,
    refunded,
    refused,
    rejected,
    released,
    returned,
    succeeded,
)

PAST_PAY_BY = NOW + timedelta(minutes=30)
PAST_SETTLE_BY = NOW + timedelta(hours=24)


@pytest.mark.parametrize("order", [an_order(), an_awaiting_order(), a_declined_order()])
def test_an_order_that_is_not_paid_is_cancelled_before_confirmation(order):
    after, events = cancellation.cancel(order, CancelReason.CUSTOMER, LATER)

    assert (after.status, after.cancel_phase) == (OrderStatus.CANCELLING, CancelPhase.PRE)
    assert (after.cancel_reason, after.cancel_no, after.version) == (CancelReason.CUSTOMER, 1, order.version + 1)
    assert (after.due_at, after.cancelled_at) == (None, None)
    assert events == (
        OrderCancellationRequested(order_id=ORDER, phase=CancelPhase.PRE, reason=CancelReason.CUSTOMER, cancel_no=1),
    )


def test_a_confirmed_order_asks_the_warehouse_before_any_money_goes_back():
    after, events = cancellation.cancel(a_confirmed_order(), CancelReason.OPERATOR, LATER)

    assert (after.status, after.cancel_phase) == (OrderStatus.CANCELLING, CancelPhase.POST)
    assert after.payment_status is PaymentStatus.PAID
    assert events == (
        OrderCancellationRequested(order_id=ORDER, phase=CancelPhase.POST, reason=CancelReason.OPERATOR, cancel_no=1),
    )


@pytest.mark.parametrize("order", [a_cancelling_order(), a_cancelled_order()])
def test_cancelling_again_changes_nothing(order):
    assert cancellation.cancel(order, CancelReason.OPERATOR, LATER) == (order, ())


@pytest.mark.parametrize(
    "order",
    [
        a_rejected_order(),
        heard(a_confirmed_order(), dispatched((MUG, 1))),
        heard(a_confirmed_order(), dispatched()),
        heard(a_confirmed_order(), delivered()),
    ],
)
def test_what_was_rejected_or_has_left_the_warehouse_cannot_be_cancelled(order):
    with pytest.raises(OrderNotCancellable, match=f"The order is {order.status}"):
        cancellation.cancel(order, CancelReason.CUSTOMER, LATER)


@pytest.mark.parametrize("stock", [released(), rejected()])
@pytest.mark.parametrize("money_first", [True, False])
def test_an_unpaid_order_is_cancelled_when_stock_and_money_are_settled_in_either_order(stock, money_first):
    first, second = (returned(), stock) if money_first else (stock, returned())
    halfway, nothing = life.advance(a_cancelling_order(), first, REFUND, NOW)

    after, events = life.advance(halfway, second, REFUND, LATER)

    assert (halfway.status, nothing) == (OrderStatus.CANCELLING, ())
    assert (after.status, after.cancelled_at, after.is_terminal) == (OrderStatus.CANCELLED, LATER, True)
    assert (after.payment_status, after.refunded_total) == (PaymentStatus.CANCELLED, 0)
    assert events == (
        OrderCancelled(order_id=ORDER, customer_id=CUSTOMER, reason=CancelReason.CUSTOMER, refunded=euro(0)),
    )


def test_a_charge_that_landed_during_the_cancellation_is_counted_as_refunded():
    order = heard(a_cancelling_order(), released())

    after, events = life.advance(order, returned(kind=ReturnKind.REFUND, returned=euro(TOTAL)), REFUND, LATER)

    assert (after.payment_status, after.refunded_total) == (PaymentStatus.REFUNDED, TOTAL)
    assert events[0].refunded == euro(TOTAL)


def test_money_of_a_confirmed_order_is_asked_back_only_when_the_stock_is_back():
    order = a_cancelling_order(a_confirmed_order())

    after, events = life.advance(order, released(), REFUND, LATER)

    assert (after.status, after.stock_settled, after.money_settled) == (OrderStatus.CANCELLING, True, False)
    assert events == (RefundRequested(order_id=ORDER, refund_id=REFUND, reason=RefundReason.CANCELLED),)
    assert [(refund.id, refund.amount, refund.status) for refund in after.refunds] == [
        (REFUND, TOTAL, RefundStatus.REQUESTED)
    ]


@pytest.mark.parametrize("fact", [returned(kind=ReturnKind.REFUND, returned=euro(TOTAL)), refunded(amount=euro(TOTAL))])
def test_a_confirmed_order_is_cancelled_when_all_the_money_is_back(fact):
    order = heard(a_cancelling_order(a_confirmed_order()), released())

    after, events = life.advance(order, fact, REFUND, LATER)

    assert (after.status, after.payment_status) == (OrderStatus.CANCELLED, PaymentStatus.REFUNDED)
    assert [(refund.id, refund.status) for refund in after.refunds] == [(REFUND, RefundStatus.SUCCEEDED)]
    assert events == (
        OrderCancelled(order_id=ORDER, customer_id=CUSTOMER, reason=CancelReason.CUSTOMER, refunded=euro(TOTAL)),
    )


def test_the_warehouses_refusal_brings_the_order_back():
    order = a_cancelling_order(a_confirmed_order())

    after, events = life.advance(order, refused(), REFUND, LATER)

    assert (after.status, after.cancel_phase, after.cancel_reason) == (OrderStatus.CONFIRMED, None, None)
    assert (after.version, after.cancel_no, events) == (order.version + 1, 1, ())
    assert after.payment_status is PaymentStatus.PAID


def test_a_refusal_of_another_cancellation_changes_nothing():
    again = a_cancelling_order(heard(a_cancelling_order(a_confirmed_order()), refused()))

    assert again.cancel_no == 2
    assert life.advance(again, refused(cancel_no=1), REFUND, LATER) == (again, ())
    assert life.advance(a_cancelling_order(), refused(), REFUND, LATER) == (a_cancelling_order(), ())


def test_after_a_refusal_the_shipments_heard_meanwhile_say_the_status():
    order = a_cancelling_order(a_confirmed_order())
    shipped, silent = life.advance(order, delivered(), REFUND, NOW)

    after, events = life.advance(shipped, refused(), REFUND, LATER)

    assert (shipped.status, silent) == (OrderStatus.CANCELLING, ())
    assert (after.status, after.shipped_at, after.delivered_at) == (OrderStatus.DELIVERED, LATER, LATER)
    assert events == (
        OrderShipped(order_id=ORDER, shipments=(SHIPMENT,)),
        OrderDelivered(order_id=ORDER, shipments=(SHIPMENT,)),
    )


def test_success_that_comes_after_the_cancellation_changes_nothing():
    order = a_cancelling_order()

    assert life.advance(order, succeeded(), REFUND, LATER) == (order, ())


@pytest.mark.parametrize("order", [a_declined_order(), an_awaiting_order(method=None)])
def test_pay_by_ends_an_order_that_waits_for_its_customer(order):
    early, nothing = cancellation.expire(order, PAST_PAY_BY - timedelta(microseconds=1))

    after, events = cancellation.expire(order, PAST_PAY_BY)

    assert (early is order, nothing) == (True, ())
    assert (after.status, after.cancel_reason) == (OrderStatus.CANCELLING, CancelReason.DEADLINE)
    assert events == (
        OrderCancellationRequested(order_id=ORDER, phase=CancelPhase.PRE, reason=CancelReason.DEADLINE, cancel_no=1),
    )


@pytest.mark.parametrize("order", [an_order(), an_awaiting_order(), an_order(method=None)])
def test_only_settle_by_ends_an_order_that_waits_for_the_shop(order):
    assert cancellation.expire(order, PAST_SETTLE_BY - timedelta(microseconds=1)) == (order, ())

    after, _ = cancellation.expire(order, PAST_SETTLE_BY)

    assert (after.status, after.cancel_reason) == (OrderStatus.CANCELLING, CancelReason.DEADLINE)


def test_the_customers_time_ends_with_settle_by_at_the_latest():
    order = a_declined_order(pay_by=PAST_SETTLE_BY + timedelta(hours=1))

    assert order.due_at == PAST_SETTLE_BY


@pytest.mark.parametrize("order", [a_confirmed_order(), a_rejected_order(), a_cancelling_order(), a_cancelled_order()])
def test_no_deadline_ends_what_is_not_open(order):
    assert order.due_at is None
    assert cancellation.expire(order, PAST_SETTLE_BY) == (order, ())


def test_a_shipment_of_some_lines_while_cancelling_is_kept_for_later():
    order = a_cancelling_order(a_confirmed_order())

    after = heard(order, dispatched((TEA, 1)), refused())

    assert after.status is OrderStatus.PARTIALLY_SHIPPED
