"""Never more than was paid; once for each return; and what the provider says to it."""

from uuid import UUID

import pytest

from contracts.orders import OrderCancelled, RefundRequested
from contracts.types import CancelReason, RefundId, RefundReason
from order_service.domain import life, refunds
from order_service.domain.pricing import CurrencyMismatch
from order_service.domain.refunds import RefundExceedsPaid, RefundOrder
from order_service.domain.status import OrderStatus, PaymentStatus, RefundStatus
from tests.support.order_service import (
    CAUSE,
    CUSTOMER,
    LATER,
    MUG,
    NOW,
    ORDER,
    REFUND,
    RETURN,
    TEA,
    TOTAL,
    a_cancelled_order,
    a_cancelling_order,
    a_confirmed_order,
    a_rejected_order,
    an_awaiting_order,
    an_order,
    delivered,
    dispatched,
    euro,
    goods_back,
    heard,
    refund_failed,
    refunded,
    refused,
    released,
    returned,
)

OTHER = RefundId(CAUSE)


def goodwill(amount: int | None = 1000, order=None, refund_id=REFUND):
    money = None if amount is None else euro(amount)
    command = RefundOrder(order_id=ORDER, amount=money, note="a scratch")
    return refunds.refund(order or a_confirmed_order(), command, refund_id, LATER)


def test_goodwill_asks_for_a_part():
    order, events = goodwill(1000)

    assert (order.status, order.payment_status, order.refundable) == (OrderStatus.CONFIRMED, PaymentStatus.PAID, 2097)
    (refund,) = order.refunds
    assert (refund.amount, refund.reason, refund.note, refund.requested_at) == (
        1000,
        RefundReason.GOODWILL,
        "a scratch",
        LATER,
    )
    assert events == (
        RefundRequested(order_id=ORDER, refund_id=REFUND, reason=RefundReason.GOODWILL, amount=euro(1000)),
    )


def test_goodwill_without_an_amount_asks_for_all_that_is_left_as_an_amount():
    order, _ = goodwill(1000)

    after, events = goodwill(None, order, OTHER)

    assert after.refundable == 0
    assert events[0].amount == euro(TOTAL - 1000)


@pytest.mark.parametrize("amount", [0, TOTAL + 1])
def test_no_more_than_was_paid_goes_back(amount):
    with pytest.raises(RefundExceedsPaid, match="3097 EUR can be refunded"):
        goodwill(amount)


def test_goodwill_comes_in_a_hundred_parts_at_most():
    order = a_confirmed_order()
    for number in range(refunds.MOST):
        order, _ = goodwill(1, order, RefundId(UUID(int=number)))

    with pytest.raises(RefundExceedsPaid, match="100 refunds"):
        goodwill(1, order, OTHER)


@pytest.mark.parametrize(
    "order", [an_order(), an_awaiting_order(), a_rejected_order(), a_cancelling_order(), a_cancelled_order()]
)
@pytest.mark.parametrize("amount", [1, None])
def test_nothing_goes_back_of_an_order_that_is_not_paid(order, amount):
    with pytest.raises(RefundExceedsPaid, match="0 EUR"):
        goodwill(amount, order)


def test_money_goes_back_in_the_currency_it_came_in():
    dollars = euro(1).model_copy(update={"currency": "USD"})

    with pytest.raises(CurrencyMismatch) as refusal:
        refunds.refund(a_confirmed_order(), RefundOrder(order_id=ORDER, amount=dollars, note="x"), REFUND, LATER)

    assert refusal.value.errors == (("#/amount/currency", "currency_mismatch", "not in EUR"),)


def test_a_refund_that_went_through_moves_the_payment_status():
    order, events = life.advance(goodwill(1000)[0], refunded(), REFUND, LATER)

    assert (order.payment_status, order.refunded_total) == (PaymentStatus.PARTIALLY_REFUNDED, 1000)
    assert (order.refunds[0].status, events) == (RefundStatus.SUCCEEDED, ())
    assert life.advance(order, refund_failed(), REFUND, LATER) == (order, ())


def test_all_the_money_back_leaves_the_order_as_it_is_and_the_payment_refunded():
    order = heard(goodwill(None)[0], refunded(amount=euro(TOTAL)))

    assert (order.status, order.payment_status) == (OrderStatus.CONFIRMED, PaymentStatus.REFUNDED)


def test_a_failed_refund_can_be_asked_again():
    order, events = life.advance(goodwill(TOTAL)[0], refund_failed(), REFUND, LATER)

    assert (order.refunds[0].status, order.refundable, events) == (RefundStatus.FAILED, TOTAL, ())
    assert order.payment_status is PaymentStatus.PAID
    assert life.advance(order, refund_failed(), REFUND, LATER) == (order, ())


def test_a_refund_that_failed_and_then_went_through_counts():
    order = heard(goodwill(1000)[0], refund_failed(), refunded())

    assert (order.refunds[0].status, order.refunded_total) == (RefundStatus.SUCCEEDED, 1000)


def test_an_answer_about_an_unknown_refund_changes_nothing():
    order, _ = goodwill(1000)

    assert life.advance(order, refunded(refund_id=OTHER), REFUND, LATER) == (order, ())


def test_returned_goods_are_refunded_at_their_price_once():
    order = heard(a_confirmed_order(), delivered())

    after, events = life.advance(order, goods_back((MUG, 1), (TEA, 1)), REFUND, LATER)

    assert [(refund.amount, refund.reason, refund.return_id) for refund in after.refunds] == [
        (1798, RefundReason.RETURN, RETURN)
    ]
    assert events == (RefundRequested(order_id=ORDER, refund_id=REFUND, reason=RefundReason.RETURN, amount=euro(1798)),)
    assert life.advance(after, goods_back((MUG, 1)), OTHER, LATER) == (after, ())


def test_a_return_is_refunded_as_far_as_anything_is_left():
    order, _ = goodwill(TOTAL - 100)

    after, events = life.advance(order, goods_back((MUG, 2)), OTHER, LATER)
    nothing_left = life.advance(after, goods_back((TEA, 1), return_id=OTHER), OTHER, LATER)

    assert events[0].amount == euro(100)
    assert nothing_left == (after, ())


def test_goods_that_come_back_before_the_refusal_of_a_cancellation_are_refunded_at_once_and_once():
    order = heard(a_cancelling_order(a_confirmed_order()), dispatched((TEA, 1)))

    after, events = life.advance(order, goods_back((MUG, 1)), REFUND, LATER)
    shipped = heard(after, refused())

    assert events == (RefundRequested(order_id=ORDER, refund_id=REFUND, reason=RefundReason.RETURN, amount=euro(1299)),)
    assert (after.status, after.stock_settled, after.money_settled) == (OrderStatus.CANCELLING, False, False)
    assert (shipped.status, shipped.refunds) == (OrderStatus.PARTIALLY_SHIPPED, after.refunds)
    assert life.advance(after, goods_back((MUG, 1)), OTHER, LATER) == (after, ())
    assert life.advance(shipped, goods_back((MUG, 1)), OTHER, LATER) == (shipped, ())


def test_a_return_that_is_paid_back_in_full_before_the_refusal_leaves_the_order_refunded():
    order = heard(a_cancelling_order(a_confirmed_order()), delivered(), goods_back((MUG, 2), (TEA, 1)))

    after = heard(order, refunded(amount=euro(TOTAL)), refused())

    assert (after.status, after.money_settled) == (OrderStatus.DELIVERED, False)
    assert (after.payment_status, after.refunded_total) == (PaymentStatus.REFUNDED, TOTAL)


@pytest.mark.parametrize(
    "order", [a_cancelling_order(), a_cancelling_order(a_confirmed_order(), stock_settled=True), a_cancelled_order()]
)
def test_goods_of_an_order_that_was_never_shipped_are_not_refunded(order):
    assert life.advance(order, goods_back((MUG, 1)), REFUND, LATER) == (order, ())


def test_goods_that_were_never_ordered_are_worth_nothing():
    order = a_confirmed_order()

    assert life.advance(order, goods_back(("VASE", 1)), REFUND, LATER) == (order, ())


def test_a_part_that_comes_back_while_cancelling_does_not_settle_the_money():
    order = a_cancelling_order(goodwill(1000)[0])

    after, events = life.advance(order, refunded(), REFUND, LATER)

    assert (after.status, after.money_settled, after.refunded_total, events) == (
        OrderStatus.CANCELLING,
        False,
        1000,
        (),
    )


def test_a_full_refund_that_comes_while_cancelling_settles_the_money():
    order = a_cancelling_order(goodwill(None)[0])
    settled, nothing = life.advance(order, refunded(amount=euro(TOTAL)), REFUND, LATER)

    after, events = life.advance(settled, released(), OTHER, LATER)

    assert (settled.status, settled.money_settled, settled.payment_status) == (
        OrderStatus.CANCELLING,
        True,
        PaymentStatus.REFUNDED,
    )
    assert nothing == ()
    assert after.status is OrderStatus.CANCELLED
    assert events == (
        RefundRequested(order_id=ORDER, refund_id=OTHER, reason=RefundReason.CANCELLED),
        OrderCancelled(order_id=ORDER, customer_id=CUSTOMER, reason=CancelReason.CUSTOMER, refunded=euro(TOTAL)),
    )


def test_an_open_part_answered_after_the_money_is_settled_is_kept_without_counting_twice():
    order = heard(a_cancelling_order(goodwill(1000)[0]), returned())

    after, events = life.advance(order, refunded(), REFUND, LATER)

    assert (after.refunds[0].status, after.refunded_total, events) == (RefundStatus.SUCCEEDED, TOTAL, ())
    assert (after.status, after.updated_at) == (OrderStatus.CANCELLING, LATER)


def test_the_whole_refund_counts_whole_even_when_a_part_had_failed():
    cancelling = heard(a_cancelling_order(goodwill(1000)[0]), released(), refund_id=OTHER)
    order = heard(cancelling, refund_failed())

    after, _ = life.advance(order, refunded(refund_id=OTHER, amount=euro(TOTAL)), REFUND, NOW)

    assert (after.status, after.refunded_total) == (OrderStatus.CANCELLED, TOTAL)
    assert [refund.status for refund in after.refunds] == [RefundStatus.FAILED, RefundStatus.SUCCEEDED]


def test_the_money_settled_leaves_refused_parts_refused():
    order = heard(a_cancelling_order(goodwill(1000)[0]), refund_failed(), released(), refund_id=OTHER)

    after = heard(order, returned())

    assert [refund.status for refund in after.refunds] == [RefundStatus.FAILED, RefundStatus.SUCCEEDED]
