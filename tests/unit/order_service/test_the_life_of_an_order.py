"""From the customer's wish to money secured and stock held; and what ends it before."""

from dataclasses import replace
from datetime import timedelta

import pytest

from contracts.orders import (
    OrderCancellationRequested,
    OrderConfirmed,
    OrderCreated,
    OrderRejected,
    PaymentRequested,
)
from contracts.types import CancelPhase, CancelReason, PricedLine, Priority, RejectReason
from order_service.domain import life
from order_service.domain.life import OrderNotPayable
from order_service.domain.order import Address, Adjustment, Failure
from order_service.domain.pricing import price
from order_service.domain.status import AdjustmentKind, FulfilmentStatus, OrderStatus, PaymentStatus
from tests.support.order_service import (
    CUSTOMER,
    LATER,
    MUG,
    NOW,
    ORDER,
    REFUND,
    TEA,
    TOTAL,
    TRACE,
    a_cancelled_order,
    a_cancelling_order,
    a_confirmed_order,
    a_declined_order,
    a_rejected_order,
    an_address,
    an_awaiting_order,
    an_order,
    declined,
    delivered,
    dispatched,
    euro,
    goods_back,
    heard,
    lines,
    place_order,
    products,
    refund_failed,
    refunded,
    refused,
    rejected,
    released,
    reserved,
    returned,
    succeeded,
)


def test_a_placed_order_is_pending_at_the_shops_own_prices():
    command = place_order(note="ring twice", metadata={"shelf": "7"})

    order, events = life.place(command, price(command.lines, products()), NOW, TRACE)

    assert (order.status, order.version, order.created_at, order.updated_at) == (OrderStatus.PENDING, 1, NOW, NOW)
    assert [(line.line_no, line.sku, line.quantity, line.unit_price, line.total) for line in order.lines] == [
        (1, MUG, 2, 1299, 2598),
        (2, TEA, 1, 499, 499),
    ]
    assert (order.total, order.lines_total, order.adjustments_total, order.currency) == (TOTAL, TOTAL, 0, "EUR")
    assert (order.note, order.metadata, order.trace_id) == ("ring twice", {"shelf": "7"}, TRACE)
    assert order.settle_by == NOW + timedelta(hours=24)
    assert (order.payment_status, order.fulfilment_status) == (PaymentStatus.PENDING, FulfilmentStatus.UNFULFILLED)
    assert events == (OrderCreated(order_id=ORDER, customer_id=CUSTOMER, lines=lines()),)


def test_the_total_is_the_lines_and_the_adjustments():
    order = an_order(adjustments=(Adjustment(kind=AdjustmentKind.DISCOUNT, amount=-97),))

    assert (order.lines_total, order.adjustments_total, order.total) == (TOTAL, -97, 3000)


def test_held_stock_asks_for_the_first_payment_and_starts_the_time_to_pay():
    order, events = life.advance(an_order(), reserved(), REFUND, LATER)

    assert (order.status, order.attempt, order.version) == (OrderStatus.AWAITING_PAYMENT, 1, 2)
    assert order.pay_by == LATER + timedelta(minutes=30)
    assert order.is_in_the_works
    assert events == (
        PaymentRequested(order_id=ORDER, customer_id=CUSTOMER, attempt=1, amount=euro(TOTAL), method="tok_ok"),
    )


def test_what_is_charged_is_the_total_with_its_adjustments():
    order = an_order(adjustments=(Adjustment(kind=AdjustmentKind.DISCOUNT, amount=-97),))

    _, (event,) = life.advance(order, reserved(), REFUND, LATER)

    assert event.amount == euro(3000)


def test_missing_stock_rejects_the_order_and_says_what_was_missing():
    order, events = life.advance(an_order(), rejected(), REFUND, LATER)

    assert (order.status, order.version, order.is_terminal) == (OrderStatus.REJECTED, 2, True)
    assert order.failure == Failure(code="insufficient_stock", message="MUG-RED: 2 asked, 1 available.")
    assert order.payment_status is PaymentStatus.CANCELLED
    (event,) = events
    assert event == OrderRejected(
        order_id=ORDER, customer_id=CUSTOMER, reason=RejectReason.INSUFFICIENT_STOCK, missing=rejected().missing
    )


def test_a_rejection_without_details_is_explained_too():
    order, _ = life.advance(an_order(), rejected(reason=RejectReason.ARCHIVED, missing=()), REFUND, LATER)

    assert order.failure == Failure(code="archived", message="The order cannot be served.")


def test_secured_money_confirms_the_order():
    order, events = life.advance(an_awaiting_order(), succeeded(), REFUND, LATER)

    assert (order.status, order.confirmed_at, order.version) == (OrderStatus.CONFIRMED, LATER, 3)
    assert (order.payment_status, order.due_at, order.is_in_the_works) == (PaymentStatus.PAID, None, False)
    priced = (
        PricedLine(line_no=1, sku=MUG, name="Mug-Red", quantity=2, unit_price=euro(1299)),
        PricedLine(line_no=2, sku=TEA, name="Tea-Green", quantity=1, unit_price=euro(499)),
    )
    assert events == (
        OrderConfirmed(order_id=ORDER, customer_id=CUSTOMER, lines=priced, total=euro(TOTAL), priority=Priority.MEDIUM),
    )


def test_a_decline_gives_the_order_back_to_the_customer_with_the_whole_time_to_pay():
    order, events = life.advance(an_awaiting_order(), declined(), REFUND, LATER)

    assert (order.status, order.last_failed_attempt, order.version) == (OrderStatus.AWAITING_PAYMENT, 1, 3)
    assert order.failure == Failure(code="card_declined", message="The card was declined.")
    assert order.pay_by == LATER + timedelta(minutes=30)
    assert (order.payment_status, order.waits_for_customer) == (PaymentStatus.FAILED, True)
    assert events == ()


def test_after_a_decline_the_customer_may_pay_again():
    order, events = life.pay(a_declined_order(), "tok_visa", LATER)

    assert (order.attempt, order.last_failed_attempt, order.failure, order.version) == (2, 1, None, 4)
    assert (order.payment_status, order.waits_for_customer) == (PaymentStatus.PENDING, False)
    assert events == (
        PaymentRequested(order_id=ORDER, customer_id=CUSTOMER, attempt=2, amount=euro(TOTAL), method="tok_visa"),
    )


@pytest.mark.parametrize(
    "order",
    [
        an_order(),
        an_awaiting_order(),
        an_awaiting_order(method=None),
        a_confirmed_order(),
        a_rejected_order(),
        a_cancelling_order(a_declined_order()),
        a_cancelled_order(),
    ],
)
def test_an_order_that_waits_for_no_second_attempt_cannot_be_paid(order):
    with pytest.raises(OrderNotPayable):
        life.pay(order, "tok_ok", LATER)


def test_the_third_decline_cancels_the_order():
    order, events = life.advance(
        an_awaiting_order(attempt=3, last_failed_attempt=2), declined(attempt=3), REFUND, LATER
    )

    assert (order.status, order.cancel_phase, order.version) == (OrderStatus.CANCELLING, CancelPhase.PRE, 3)
    assert (order.last_failed_attempt, order.payment_status) == (3, PaymentStatus.FAILED)
    assert order.failure == Failure(code="card_declined", message="The card was declined.")
    assert events == (
        OrderCancellationRequested(
            order_id=ORDER, phase=CancelPhase.PRE, reason=CancelReason.PAYMENT_FAILED, cancel_no=1
        ),
    )


def test_a_decline_of_an_earlier_attempt_or_a_repeated_one_changes_nothing():
    trying_again, _ = life.pay(a_declined_order(), "tok_ok", NOW)

    assert life.advance(trying_again, declined(attempt=1), REFUND, LATER) == (trying_again, ())
    assert life.advance(a_declined_order(), declined(), REFUND, LATER) == (a_declined_order(), ())


FACTS = {
    "reserved": reserved(),
    "rejected": rejected(),
    "released": released(),
    "refused": refused(cancel_no=7),
    "succeeded": succeeded(),
    "declined": declined(),
    "returned": returned(),
    "refunded": refunded(),
    "refund_failed": refund_failed(),
    "dispatched": dispatched(),
    "delivered": delivered(),
    "goods_back": goods_back(),
}
HEARD = {
    "pending": (an_order(), {"reserved", "rejected"}),
    "awaiting payment": (an_awaiting_order(), {"succeeded", "declined"}),
    "rejected": (a_rejected_order(), set()),
    "confirmed": (a_confirmed_order(), {"dispatched", "delivered", "goods_back"}),
    "delivered": (heard(a_confirmed_order(), delivered()), {"goods_back"}),
    "cancelling": (a_cancelling_order(), {"released", "rejected", "returned", "dispatched", "delivered"}),
    "settling": (heard(a_cancelling_order(), released()), {"returned", "dispatched", "delivered"}),
    "cancelling after it was paid": (
        a_cancelling_order(a_confirmed_order()),
        {"released", "rejected", "returned", "dispatched", "delivered", "goods_back"},
    ),
    "settling after it was paid": (
        heard(a_cancelling_order(a_confirmed_order()), released()),
        {"returned", "refunded", "refund_failed", "dispatched", "delivered"},
    ),
    "cancelled": (a_cancelled_order(), set()),
}


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("stage", HEARD)
def test_a_fact_that_does_not_fit_changes_nothing_and_tells_nothing(stage, name):
    order, fitting = HEARD[stage]

    after, events = life.advance(order, FACTS[name], REFUND, LATER)

    assert (after is order) == (name not in fitting)
    if name not in fitting:
        assert events == ()
    else:
        assert after.version == order.version + 1


@pytest.mark.parametrize("left", [{"note": "ring twice"}, {"metadata": {"gift": "for Bo"}}])
def test_whose_address_is_erased_already_is_erased_as_a_whole(left):
    order = a_confirmed_order(shipping_address=life.erased_address("DE"), **left)

    erased, _ = life.erase(order, LATER)

    assert (erased.note, erased.metadata) == (None, {})


def test_an_order_without_a_method_waits_for_its_customer():
    assert an_awaiting_order(method=None).waits_for_customer
    assert not an_order(method=None).waits_for_customer


def test_erasing_a_customer_overwrites_the_address_the_note_and_the_pairs_once():
    order = a_confirmed_order(note="ring twice", metadata={"gift": "for Bo"})

    erased, events = life.erase(order, LATER)

    assert erased == replace(
        order,
        shipping_address=Address(name="erased", line1="erased", city="erased", postal_code="erased", country="DE"),
        note=None,
        metadata={},
        version=order.version + 1,
        updated_at=LATER,
    )
    assert events == ()
    assert life.erase(erased, LATER) == (erased, ())
    assert order.shipping_address == an_address()
