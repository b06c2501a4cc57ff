"""The life of a reservation: each transition that docs/states.md draws, and the rest of the pairs."""

import pytest

from contracts.orders import OrderCancellationRequested
from contracts.stock import CancellationRefused, StockRejected, StockReleased, StockReserved
from contracts.types import Allocation, CancelPhase, Priority, RejectReason, ShippedLine, Shortage
from inventory_service.domain import reservation
from inventory_service.domain.movement import Kind
from inventory_service.domain.product import Offer
from inventory_service.domain.reservation import Outcome, Shipment, Status
from inventory_service.domain.task import TaskKind, TaskStatus
from tests.support.inventory_service import (
    CUSTOMER,
    LATER,
    NOW,
    ORDER,
    RESERVATION,
    TASK,
    a_cancellation,
    a_fulfil_task,
    a_hold,
    a_level,
    a_reservation,
    a_step,
    a_stock,
    an_order_confirmed,
    an_order_created,
    offers,
    stocks,
)

STEP = a_step()
SHIPMENT = Shipment(id=RESERVATION, task_id=TASK, lines=(ShippedLine(sku="MUG-RED", quantity=2),), dispatched_at=NOW)


def reserved(fact, known=None, sold=None, shelves=()):
    every = {line.sku for line in fact.lines}
    return reservation.reserve(known, fact, offers(*every) if sold is None else sold, stocks(*shelves), STEP)


def moves(outcome):
    return [(m.kind, m.sku, m.warehouse, m.delta, m.reserved_delta) for m in outcome.movements]


def test_an_order_with_enough_stock_is_held():
    outcome = reserved(an_order_created(("MUG-RED", 2)), shelves=[a_stock(on_hand=2)])

    held = outcome.reservation
    assert (held.status, held.holds, held.customer_id, held.version) == (Status.HELD, (a_hold(),), CUSTOMER, 1)
    assert held.key == ORDER
    assert moves(outcome) == [(Kind.RESERVE, "MUG-RED", "main", 0, 2)]
    assert outcome.movements[0].reference == outcome.movements[0].order_id == ORDER
    allocated = (Allocation(sku="MUG-RED", quantity=2, warehouse="main"),)
    assert outcome.events == (StockReserved(order_id=ORDER, reservation_id=held.id, allocations=allocated),)
    assert outcome.ignored is None


def test_lines_of_one_sku_are_summed():
    fact = an_order_created(("MUG-RED", 2), ("CAP-RED", 1), ("MUG-RED", 3))

    outcome = reserved(fact, shelves=[a_stock(on_hand=5), a_stock("CAP-RED", on_hand=1)])

    assert outcome.reservation.holds == (a_hold(quantity=5), a_hold("CAP-RED", 1))


def test_a_short_order_holds_nothing_and_says_what_is_missing():
    fact = an_order_created(("MUG-RED", 2), ("CAP-RED", 4), ("PEN-RED", 1))

    outcome = reserved(fact, shelves=[a_stock(on_hand=9), a_stock("CAP-RED", on_hand=5, reserved=2)])

    missing = (Shortage(sku="CAP-RED", requested=4, available=3), Shortage(sku="PEN-RED", requested=1, available=0))
    rejected = StockRejected(order_id=ORDER, reason=RejectReason.INSUFFICIENT_STOCK, missing=missing)
    assert (outcome.reservation.status, outcome.reservation.holds) == (Status.REJECTED, ())
    assert outcome.events == (rejected,)
    assert outcome.movements == ()


def test_an_archived_sku_is_rejected_however_much_there_is():
    sold = {"MUG-RED": Offer(sku="MUG-RED", active=False)}

    outcome = reserved(an_order_created(("MUG-RED", 2)), sold=sold, shelves=[a_stock(on_hand=9)])

    missing = (Shortage(sku="MUG-RED", requested=2, available=0),)
    assert outcome.events == (StockRejected(order_id=ORDER, reason=RejectReason.ARCHIVED, missing=missing),)
    assert outcome.movements == ()


def test_an_unknown_sku_is_rejected_as_unknown():
    fact = an_order_created(("MUG-RED", 2), ("NOPE", 1))

    outcome = reserved(fact, sold=offers("MUG-RED"), shelves=[a_stock(on_hand=9)])

    missing = (Shortage(sku="NOPE", requested=1, available=0),)
    assert outcome.events == (StockRejected(order_id=ORDER, reason=RejectReason.SKU_UNKNOWN, missing=missing),)


def test_an_order_without_lines_holds_nothing_and_raises_nothing():
    fact = an_order_created().model_copy(update={"lines": ()})

    outcome = reserved(fact)

    assert (outcome.reservation.status, outcome.reservation.holds) == (Status.HELD, ())


def test_the_first_warehouse_that_holds_everything_serves_the_whole_order():
    mugs = a_stock("MUG-RED", a_level("near", priority=1, on_hand=9), a_level("far", priority=2, on_hand=9))
    caps = a_stock("CAP-RED", a_level("far", priority=2, on_hand=1))

    outcome = reserved(an_order_created(("MUG-RED", 2), ("CAP-RED", 1)), shelves=[mugs, caps])

    assert outcome.reservation.holds == (a_hold(warehouse="far"), a_hold("CAP-RED", 1, "far"))


def test_without_such_a_warehouse_each_line_has_its_own():
    mugs = a_stock("MUG-RED", a_level("near", priority=1, on_hand=1), a_level("far", priority=2, on_hand=9))
    caps = a_stock("CAP-RED", a_level("near", priority=1, on_hand=1))

    outcome = reserved(an_order_created(("MUG-RED", 2), ("CAP-RED", 1)), shelves=[mugs, caps])

    assert outcome.reservation.holds == (a_hold(warehouse="far"), a_hold("CAP-RED", 1, "near"))


def test_a_line_that_no_warehouse_holds_alone_is_split_in_order_of_priority():
    empty, near, far = (
        a_level("empty", priority=0),
        a_level("near", priority=1, on_hand=3),
        a_level("far", priority=2, on_hand=4),
    )

    outcome = reserved(an_order_created(("MUG-RED", 5)), shelves=[a_stock("MUG-RED", empty, near, far)])

    assert outcome.reservation.holds == (a_hold(quantity=3, warehouse="near"), a_hold(quantity=2, warehouse="far"))


@pytest.mark.parametrize("status", Status)
def test_a_late_or_repeated_order_changes_nothing(status):
    known = a_reservation(status)

    outcome = reserved(an_order_created(), known=known, shelves=[a_stock(on_hand=9)])

    assert outcome == Outcome(reservation=known, ignored=f"reservation {status}")


def test_a_confirmed_order_commits_its_hold_and_opens_a_fulfilment_task():
    outcome = reservation.commit(a_reservation(), an_order_confirmed(priority=Priority.HIGH), a_step(at=LATER))

    (task,) = outcome.tasks
    assert (task.kind, task.status, task.priority, task.order_id, task.warehouse) == (
        TaskKind.FULFIL,
        TaskStatus.PENDING,
        Priority.HIGH,
        ORDER,
        "main",
    )
    assert (task.title, task.description) == ("Ship order 00000-00001", "From main: 2 × MUG-RED")
    committed = a_reservation(Status.COMMITTED, task_ids=(task.id,), version=2, updated_at=LATER)
    assert outcome == Outcome(reservation=committed, tasks=(task,))


def test_each_warehouse_that_holds_for_the_order_has_its_own_task():
    holds = (a_hold(warehouse="near"), a_hold("CAP-RED", 1, "far"), a_hold("PEN-RED", 1, "near"))

    outcome = reservation.commit(a_reservation(holds=holds), an_order_confirmed(), STEP)

    assert [task.description for task in outcome.tasks] == [
        "From near: 2 × MUG-RED, 1 × PEN-RED",
        "From far: 1 × CAP-RED",
    ]
    assert len(set(outcome.reservation.task_ids)) == 2


def test_the_description_of_a_task_is_cut_at_its_limit():
    holds = tuple(a_hold(f"{'X' * 60}-{n}") for n in range(100))

    outcome = reservation.commit(a_reservation(holds=holds), an_order_confirmed(), STEP)

    assert len(outcome.tasks[0].description) == 2000


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.HELD}))
def test_a_confirmation_of_what_is_not_held_changes_nothing(status):
    known = a_reservation(status)

    assert reservation.commit(known, an_order_confirmed(), STEP) == Outcome(
        reservation=known, ignored=f"reservation {status}"
    )


def test_a_confirmation_of_an_unknown_order_changes_nothing():
    assert reservation.commit(None, an_order_confirmed(), STEP) == Outcome(
        reservation=None, ignored="reservation unknown"
    )


def test_a_cancellation_that_comes_first_leaves_a_tombstone():
    outcome = reservation.release(None, a_cancellation(), (), STEP)

    assert (outcome.reservation.status, outcome.reservation.holds) == (Status.VOID, ())
    assert outcome.events == (StockReleased(order_id=ORDER, reservation_id=None),)
    assert outcome.movements == ()


def test_a_held_order_gives_its_stock_back():
    outcome = reservation.release(a_reservation(), a_cancellation(), (), a_step(at=LATER))

    assert outcome.reservation == a_reservation(Status.RELEASED, version=2, updated_at=LATER)
    assert moves(outcome) == [(Kind.RELEASE, "MUG-RED", "main", 0, -2)]
    assert outcome.events == (StockReleased(order_id=ORDER, reservation_id=RESERVATION),)


def test_a_committed_order_that_has_not_left_gives_back_and_its_tasks_are_cancelled():
    known = a_reservation(Status.COMMITTED, task_ids=(TASK,))
    done = a_fulfil_task(status=TaskStatus.CANCELLED)

    outcome = reservation.release(
        known, a_cancellation(phase=CancelPhase.POST), (a_fulfil_task(), done), a_step(at=LATER)
    )

    assert outcome.reservation.status is Status.RELEASED
    assert outcome.tasks == (a_fulfil_task(status=TaskStatus.CANCELLED, version=2, updated_at=LATER),)
    assert moves(outcome) == [(Kind.RELEASE, "MUG-RED", "main", 0, -2)]
    assert outcome.events == (StockReleased(order_id=ORDER, reservation_id=RESERVATION),)


@pytest.mark.parametrize("status", [Status.COMMITTED, Status.CONSUMED])
def test_a_cancellation_after_a_shipment_is_refused_with_its_number(status):
    known = a_reservation(status, shipments=(SHIPMENT,))

    outcome = reservation.release(known, a_cancellation(phase=CancelPhase.POST, cancel_no=3), (), STEP)

    refused = CancellationRefused(order_id=ORDER, cancel_no=3, shipments=(RESERVATION,))
    assert outcome == Outcome(reservation=known, events=(refused,))


@pytest.mark.parametrize(
    ("known", "reservation_id"),
    [
        (a_reservation(Status.RELEASED), RESERVATION),
        (a_reservation(Status.REJECTED, holds=()), None),
        (a_reservation(Status.VOID, holds=()), None),
    ],
)
def test_a_cancellation_of_what_is_not_held_is_answered_again(known, reservation_id):
    outcome = reservation.release(known, a_cancellation(), (), STEP)

    assert outcome == Outcome(reservation=known, events=(StockReleased(order_id=ORDER, reservation_id=reservation_id),))


def test_a_cancellation_is_never_ignored():
    assert OrderCancellationRequested.topic == "order.cancellation_requested"
    for status in Status:
        assert reservation.release(a_reservation(status), a_cancellation(), (), STEP).events
