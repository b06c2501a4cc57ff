"""What leaves, arrives and comes back."""

import pytest

from contracts.stock import ReturnReceived, ShipmentDelivered, ShipmentDispatched
from contracts.types import ReturnedLine, ReturnId, ShippedLine
from inventory_service.domain import shipping
from inventory_service.domain.movement import Kind
from inventory_service.domain.reservation import Outcome, Status
from inventory_service.domain.shipping import CompleteTask, ReceiveReturn, RecordDelivery
from inventory_service.domain.task import TaskClosed, TaskStatus, TaskUnknown
from tests.support.inventory_service import (
    CAUSE,
    CUSTOMER,
    LATER,
    ORDER,
    RESERVATION,
    TASK,
    a_fulfil_task,
    a_hold,
    a_reservation,
    a_step,
    a_stock,
    a_task,
    stocks,
)

COMPLETE = CompleteTask(task_id=TASK, order_id=ORDER, carrier="DHL", tracking_number="JD01")
RETURN = ReturnId(CAUSE)
STEP = a_step(at=LATER)


def shipped(known=None, reservation=None, shelf=None):
    shelves = stocks(shelf or a_stock(on_hand=5, reserved=2))
    committed = reservation or a_reservation(Status.COMMITTED, task_ids=(TASK,))
    return shipping.complete(known or a_fulfil_task(), committed, shelves, COMPLETE, STEP)


def returned(*lines, reservation=None):
    consumed = reservation or a_reservation(Status.CONSUMED, holds=(a_hold(shipped=2),))
    return shipping.take_back(consumed, ReceiveReturn(order_id=ORDER, lines=lines), RETURN, STEP)


def line(quantity, restocked, sku="MUG-RED"):
    return ReturnedLine(sku=sku, quantity=quantity, restocked=restocked)


def test_completing_the_fulfilment_ships_and_consumes():
    outcome = shipped()

    (shipment,) = outcome.reservation.shipments
    assert outcome.reservation.status is Status.CONSUMED
    assert outcome.reservation.holds == (a_hold(shipped=2),)
    assert outcome.tasks == (
        a_fulfil_task(status=TaskStatus.COMPLETED, version=2, updated_at=LATER, completed_at=LATER),
    )
    (movement,) = outcome.movements
    assert (movement.kind, movement.reference, movement.order_id) == (Kind.SHIP, shipment.id, ORDER)
    assert (movement.delta, movement.reserved_delta) == (-2, -2)
    assert outcome.events == (
        ShipmentDispatched(
            order_id=ORDER,
            customer_id=CUSTOMER,
            shipment_id=shipment.id,
            lines=(ShippedLine(sku="MUG-RED", quantity=2),),
            carrier="DHL",
            tracking="JD01",
        ),
    )


def test_what_another_warehouse_holds_stays_until_its_own_task_is_done():
    holds = (a_hold(), a_hold("CAP-RED", 1, "far"))
    first = shipped(reservation=a_reservation(Status.COMMITTED, holds=holds))
    caps = a_stock("CAP-RED", on_hand=1, reserved=1, warehouse="far")

    second = shipped(a_fulfil_task(warehouse="far"), first.reservation, caps)

    assert (first.reservation.status, second.reservation.status) == (Status.COMMITTED, Status.CONSUMED)
    assert [[m.sku for m in outcome.movements] for outcome in (first, second)] == [["MUG-RED"], ["CAP-RED"]]
    assert [len(outcome.reservation.shipments) for outcome in (first, second)] == [1, 2]


@pytest.mark.parametrize("warehouse", ["main", "far"])
def test_what_is_backordered_cannot_ship_before_it_is_on_the_shelf(warehouse):
    shelf = a_stock(on_hand=1, reserved=2, backorder_limit=5)
    held = a_reservation(Status.COMMITTED, holds=(a_hold(warehouse=warehouse),))

    with pytest.raises(shipping.NotOnHand, match="MUG-RED: 2 to ship"):
        shipped(a_fulfil_task(warehouse=warehouse), held, shelf)


def test_completing_a_manual_task_ships_nothing():
    command = CompleteTask(task_id=TASK, order_id=None)

    outcome = shipping.complete(a_task(), None, {}, command, STEP)

    done = a_task(status=TaskStatus.COMPLETED, version=2, updated_at=LATER, completed_at=LATER)
    assert outcome == Outcome(reservation=None, tasks=(done,))


def test_a_closed_task_is_not_completed_again():
    with pytest.raises(TaskClosed):
        shipped(a_fulfil_task(status=TaskStatus.COMPLETED))


def test_a_task_of_another_order_is_unknown():
    with pytest.raises(TaskUnknown):
        shipped(a_fulfil_task(order_id=None))


def test_a_delivery_is_told_once():
    dispatched = shipped().reservation
    command = RecordDelivery(order_id=ORDER, shipment_id=dispatched.shipments[0].id)

    outcome = shipping.deliver(dispatched, command, STEP)
    again = shipping.deliver(outcome.reservation, command, STEP)

    assert outcome.reservation.shipments[0].delivered_at == LATER
    assert outcome.events == (
        ShipmentDelivered(
            order_id=ORDER,
            customer_id=CUSTOMER,
            shipment_id=command.shipment_id,
            lines=(ShippedLine(sku="MUG-RED", quantity=2),),
            carrier="DHL",
            tracking="JD01",
        ),
    )
    assert again == Outcome(reservation=outcome.reservation)


def test_a_delivery_of_one_shipment_leaves_the_others_on_their_way():
    holds = (a_hold(), a_hold("CAP-RED", 1, "far"))
    first = shipped(reservation=a_reservation(Status.COMMITTED, holds=holds)).reservation
    caps = a_stock("CAP-RED", on_hand=1, reserved=1, warehouse="far")
    both = shipped(a_fulfil_task(id=CAUSE, warehouse="far"), first, caps).reservation

    outcome = shipping.deliver(both, RecordDelivery(order_id=ORDER, shipment_id=both.shipments[1].id), STEP)

    assert [shipment.delivered_at for shipment in outcome.reservation.shipments] == [None, LATER]


@pytest.mark.parametrize("known", [None, a_reservation(Status.COMMITTED)])
def test_a_delivery_of_an_unknown_shipment_is_refused(known):
    with pytest.raises(shipping.ShipmentUnknown):
        shipping.deliver(known, RecordDelivery(order_id=ORDER, shipment_id=RESERVATION), STEP)


def test_nothing_ships_for_an_order_whose_customer_is_not_known():
    with pytest.raises(shipping.ShipmentUnknown):
        shipped(reservation=a_reservation(Status.COMMITTED, customer_id=None))


def test_returned_goods_go_back_on_the_shelf_they_left_from():
    outcome = returned(line(2, 1))

    assert outcome.reservation.holds == (a_hold(shipped=2, returned=2),)
    (movement,) = outcome.movements
    assert (movement.kind, movement.reference, movement.warehouse) == (Kind.RETURN, RETURN, "main")
    assert (movement.delta, movement.reserved_delta) == (1, 0)
    assert outcome.events == (ReturnReceived(order_id=ORDER, return_id=RETURN, lines=(line(2, 1),)),)


def test_broken_goods_come_back_without_a_movement():
    assert returned(line(1, 0)).movements == ()


def test_lines_of_one_sku_come_back_together_over_the_shelves_they_left_from():
    holds = (a_hold("CAP-RED", 1, shipped=1), a_hold(shipped=2), a_hold(quantity=1, warehouse="far", shipped=1))

    outcome = returned(line(2, 2), line(1, 0), reservation=a_reservation(Status.CONSUMED, holds=holds))

    assert [hold.returned for hold in outcome.reservation.holds] == [0, 2, 1]
    assert [(m.sku, m.warehouse, m.delta) for m in outcome.movements] == [("MUG-RED", "main", 2)]
    assert outcome.events[0].lines == (line(3, 2),)


@pytest.mark.parametrize("lines", [(line(3, 0),), (line(2, 0), line(1, 0)), (line(1, 2),), (line(1, 1, "CAP-RED"),)])
def test_more_than_was_shipped_cannot_come_back(lines):
    with pytest.raises(shipping.NotShipped):
        returned(*lines)


def test_goods_of_an_order_come_back_a_hundred_times_at_most_in_as_many_units_as_it_takes():
    holds = (a_hold(quantity=200, shipped=200),)
    reservation = a_reservation(Status.CONSUMED, holds=holds)
    for _ in range(shipping.MOST_RETURNS - 1):
        reservation = returned(line(1, 0), reservation=reservation).reservation
    last = returned(line(100, 100), reservation=reservation).reservation

    assert last.holds == (a_hold(quantity=200, shipped=200, returned=199),)
    with pytest.raises(shipping.TooManyReturns, match=r"100 returns .* by an adjustment of stock"):
        returned(line(1, 0), reservation=last)


def test_a_return_for_an_unknown_order_is_refused():
    with pytest.raises(shipping.ShipmentUnknown):
        shipping.take_back(None, ReceiveReturn(order_id=ORDER, lines=(line(1, 1),)), RETURN, STEP)
