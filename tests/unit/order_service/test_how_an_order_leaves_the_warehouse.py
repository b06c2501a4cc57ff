"""Shipments come in whatever order; the status is what all of them say."""

import pytest

from contracts.orders import OrderDelivered, OrderShipped
from order_service.domain import life
from order_service.domain.status import FulfilmentStatus, OrderStatus
from tests.support.order_service import (
    LATER,
    MUG,
    NOW,
    ORDER,
    REFUND,
    SECOND_SHIPMENT,
    SHIPMENT,
    TEA,
    a_confirmed_order,
    delivered,
    dispatched,
    heard,
)


def test_the_first_of_two_shipments_ships_the_order_in_part():
    order, events = life.advance(a_confirmed_order(), dispatched((MUG, 2)), REFUND, LATER)

    assert (order.status, order.fulfilment_status) == (
        OrderStatus.PARTIALLY_SHIPPED,
        FulfilmentStatus.PARTIALLY_SHIPPED,
    )
    (shipment,) = order.shipments
    assert (shipment.id, shipment.carrier, shipment.tracking_number) == (SHIPMENT, "DHL", "JD01")
    assert (shipment.dispatched_at, shipment.delivered_at, order.shipped_at) == (LATER, None, None)
    assert events == ()


def test_the_last_shipment_ships_the_order():
    order = heard(a_confirmed_order(), dispatched((MUG, 2)))

    after, events = life.advance(order, dispatched((TEA, 1), shipment_id=SECOND_SHIPMENT), REFUND, LATER)

    assert (after.status, after.fulfilment_status, after.shipped_at) == (
        OrderStatus.SHIPPED,
        FulfilmentStatus.SHIPPED,
        LATER,
    )
    assert events == (OrderShipped(order_id=ORDER, shipments=(SHIPMENT, SECOND_SHIPMENT)),)


def test_the_last_delivery_delivers_the_order_and_nothing_is_told_twice():
    order = heard(
        a_confirmed_order(),
        dispatched((MUG, 2)),
        dispatched((TEA, 1), shipment_id=SECOND_SHIPMENT),
        delivered((MUG, 2)),
    )
    assert order.status is OrderStatus.SHIPPED

    after, events = life.advance(order, delivered((TEA, 1), shipment_id=SECOND_SHIPMENT), REFUND, LATER)

    assert (after.status, after.fulfilment_status) == (OrderStatus.DELIVERED, FulfilmentStatus.DELIVERED)
    assert (after.shipped_at, after.delivered_at, after.is_terminal) == (NOW, LATER, True)
    assert events == (OrderDelivered(order_id=ORDER, shipments=(SHIPMENT, SECOND_SHIPMENT)),)


def test_a_delivery_that_overtakes_its_dispatch_tells_both_steps():
    order, events = life.advance(a_confirmed_order(), delivered(), REFUND, LATER)

    assert order.status is OrderStatus.DELIVERED
    assert events == (
        OrderShipped(order_id=ORDER, shipments=(SHIPMENT,)),
        OrderDelivered(order_id=ORDER, shipments=(SHIPMENT,)),
    )
    assert life.advance(order, dispatched(), REFUND, LATER) == (order, ())


@pytest.mark.parametrize("fact", [dispatched(), delivered()])
def test_a_shipment_heard_twice_changes_nothing(fact):
    order = heard(a_confirmed_order(), fact)

    assert life.advance(order, fact, REFUND, LATER) == (order, ())


def test_a_delivered_part_does_not_deliver_the_order():
    order = heard(a_confirmed_order(), delivered((MUG, 1)))

    assert order.status is OrderStatus.PARTIALLY_SHIPPED
