"""What is written and told for each command and fact: the order, one entry of its history, the events."""

import pytest

from chassis.decisions import State
from chassis.ids import new_id
from contracts.accounts import UserErased
from contracts.types import CancelReason
from order_service.domain.cancellation import CancelOrder, Expire
from order_service.domain.erasing import EraseOrders, Erasure
from order_service.domain.history import HistoryEntry
from order_service.domain.life import PayOrder
from order_service.domain.order import OrderNotFound
from order_service.domain.pricing import PriceChanged
from order_service.domain.refunds import RefundOrder
from order_service.domain.status import FulfilmentStatus, OrderStatus, PaymentStatus
from order_service.handlers import decisions
from order_service.store import Answers
from tests.support.order_service import (
    CAUSE,
    CUSTOMER,
    MUG,
    NOW,
    ORDER,
    TEA,
    TRACE,
    a_cancelling_order,
    a_cause,
    a_confirmed_order,
    a_declined_order,
    a_product,
    an_order,
    euro,
    place_order,
    reserved,
    succeeded,
    upserted,
)


def decide(item, *things, **cause):
    rule = decisions.rules[type(item)]
    known = {(type(thing), thing.key): thing for thing in things}
    return rule.decide(State({**dict.fromkeys(rule.names(item)), **known}), item, a_cause(**cause))


def test_a_placed_order_is_written_with_the_first_entry_of_its_history():
    decision = decide(place_order(), a_product(MUG), a_product(TEA), actor="usr_1")

    order, entry = decision.changes
    assert (order, decision.reply, decision.sequence) == (an_order(), order, 1)
    assert order.trace_id == TRACE
    assert entry == HistoryEntry(
        order_id=ORDER,
        version=1,
        from_status=None,
        to_status=OrderStatus.PENDING,
        payment_status=PaymentStatus.PENDING,
        fulfilment_status=FulfilmentStatus.UNFULFILLED,
        actor="usr_1",
        cause="place_order",
        cause_id=CAUSE,
        at=NOW,
    )
    assert entry.key == (ORDER, 1)
    assert [event.topic for event in decision.events] == ["order.created"]


def test_an_order_placed_without_a_trace_has_none():
    decision = decide(place_order(), a_product(MUG), a_product(TEA), traceparent=None)

    assert decision.reply.trace_id is None


def test_an_order_at_another_price_than_expected_is_refused():
    with pytest.raises(PriceChanged):
        decide(place_order(expected_total=euro(1)), a_product(MUG), a_product(TEA))


def test_a_fact_moves_its_order_and_is_named_in_the_history():
    decision = decide(reserved(), an_order())

    order, entry = decision.changes
    assert (order.version, entry.version, decision.sequence) == (2, 2, 2)
    assert (entry.from_status, entry.to_status) == (OrderStatus.PENDING, OrderStatus.AWAITING_PAYMENT)
    assert (entry.cause, entry.actor) == ("stock.reserved", "inventory_service")


def test_a_fact_that_changes_nothing_is_counted_with_the_reason():
    decision = decide(succeeded(), a_cancelling_order())

    assert (decision.changes, decision.events, decision.ignored) == ((), (), "while cancelling")


@pytest.mark.parametrize("item", [reserved(), Expire(order_id=ORDER)])
def test_what_concerns_an_unknown_order_is_ignored(item):
    assert decide(item).ignored == "unknown order"


@pytest.mark.parametrize("owner", [CUSTOMER, None])
def test_the_owner_and_staff_may_cancel_and_pay_again(owner):
    cancelled = decide(CancelOrder(order_id=ORDER, owner=owner, reason=CancelReason.CUSTOMER), an_order())
    paid = decide(PayOrder(order_id=ORDER, owner=owner, method="tok_ok"), a_declined_order())

    assert (cancelled.reply.status, cancelled.changes[1].cause) == (OrderStatus.CANCELLING, "cancel_order")
    assert (paid.reply.attempt, paid.changes[1].cause) == (2, "pay_order")


def test_cancelling_again_is_answered_and_writes_nothing():
    order = a_cancelling_order()

    decision = decide(CancelOrder(order_id=ORDER, owner=CUSTOMER, reason=CancelReason.CUSTOMER), order)

    assert (decision.reply, decision.changes, decision.events) == (order, (), ())


@pytest.mark.parametrize(
    "command",
    [
        CancelOrder(order_id=ORDER, owner=CAUSE, reason=CancelReason.CUSTOMER),
        PayOrder(order_id=ORDER, owner=CAUSE, method="tok_ok"),
    ],
)
def test_somebody_elses_order_is_not_there(command):
    with pytest.raises(OrderNotFound):
        decide(command, a_declined_order())


@pytest.mark.parametrize(
    "command",
    [
        CancelOrder(order_id=ORDER, owner=None, reason=CancelReason.OPERATOR),
        RefundOrder(order_id=ORDER, amount=None, note="x"),
    ],
)
def test_an_order_that_nobody_placed_is_not_there(command):
    with pytest.raises(OrderNotFound):
        decide(command)


def test_goodwill_is_written_and_told():
    decision = decide(RefundOrder(order_id=ORDER, amount=euro(500), note="a scratch"), a_confirmed_order())

    (event,) = decision.events
    assert (event.topic, event.amount, event.refund_id) == (
        "order.refund_requested",
        euro(500),
        a_cause().derive("refund"),
    )
    assert decision.changes[1].cause == "refund_order"


def test_an_order_past_its_deadline_expires():
    due = a_declined_order()

    assert decide(Expire(order_id=ORDER), due).ignored == "while awaiting_payment"
    decision = decide(Expire(order_id=ORDER), due, now=due.due_at, actor="system")
    assert (decision.reply.cancel_reason, decision.changes[1].actor) == (CancelReason.DEADLINE, "system")


def test_the_replica_keeps_newer_products_only():
    assert decide(upserted(version=2), a_product(version=1)).changes == (a_product(version=2),)
    assert decide(upserted(version=1), a_product(version=1)).ignored == "not newer"
    assert decide(upserted()).changes == (a_product(),)


def test_an_erased_customers_orders_are_to_be_overwritten_each_time_that_it_is_told():
    fact = UserErased(user_id=CUSTOMER, locale="en")

    for known in ((), (Erasure(customer_id=CUSTOMER, reached=ORDER),)):
        decision = decide(fact, *known)
        assert (decision.changes, decision.events) == ((Erasure(customer_id=CUSTOMER),), ())


def erase_orders(*order_ids, **given):
    return EraseOrders(customer_id=CUSTOMER, after=Erasure(customer_id=CUSTOMER).reached, order_ids=order_ids, **given)


def test_some_orders_of_an_erased_customer_are_overwritten_with_an_entry_each():
    other = new_id()
    begun = Erasure(customer_id=CUSTOMER)

    decision = decide(erase_orders(ORDER, other), begun, a_confirmed_order())

    erasure, answers, order, entry = decision.changes
    assert (erasure, answers) == (Erasure(customer_id=CUSTOMER, reached=other), Answers(CUSTOMER, (ORDER, other)))
    assert (order.shipping_address.name, entry.cause, entry.version) == ("erased", "erase_orders", order.version)
    assert decision.events == ()
    assert decide(erase_orders(ORDER), begun, order).changes == (
        Erasure(customer_id=CUSTOMER, reached=ORDER),
        Answers(CUSTOMER, (ORDER,)),
    )


def test_an_erasure_is_over_when_nothing_is_left():
    last, _ = decide(erase_orders(is_last=True), Erasure(customer_id=CUSTOMER)).changes

    assert last == Erasure(customer_id=CUSTOMER, is_over=True)


def test_an_erasure_that_went_on_elsewhere_is_left_alone():
    for known in ((), (Erasure(customer_id=CUSTOMER, reached=ORDER),)):
        assert decide(erase_orders(ORDER), *known, a_confirmed_order()).changes == ()


def test_every_fact_that_the_service_hears_is_in_its_bindings():
    assert decisions.topics == (
        "payment.cancelled",
        "payment.failed",
        "payment.succeeded",
        "product.upserted",
        "refund.failed",
        "refund.succeeded",
        "return.received",
        "shipment.delivered",
        "shipment.dispatched",
        "stock.cancellation_refused",
        "stock.rejected",
        "stock.released",
        "stock.reserved",
        "user.erased",
    )
