"""Stock changes by movements only, never below what is held."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.stock import StockLow, StockReplenished
from inventory_service.domain import stock
from inventory_service.domain.movement import Kind, Reason
from inventory_service.domain.product import Offer, ProductUnknown
from inventory_service.domain.stock import AdjustStock, Stock, Warehouse
from tests.support.inventory_service import CAUSE, NOW, a_level, a_step, a_stock

OFFER = Offer(sku="MUG-RED")
MAIN = Warehouse(code="main")
STEP = a_step(order_id=None, actor="usr_1")


def adjusted(known, delta, reason=Reason.RECEIVED, warehouse=MAIN, offer=OFFER):
    command = AdjustStock(sku="MUG-RED", delta=delta, reason=reason, warehouse=warehouse.code)
    return stock.adjust(known, offer, warehouse, command, reference=CAUSE, step=STEP)


def test_the_first_delivery_opens_the_shelf():
    after, movement, events = adjusted(None, 50)

    assert after == Stock(sku="MUG-RED", levels=(a_level(on_hand=50, low_threshold=5, version=1),))
    assert (movement.kind, movement.delta, movement.reserved_delta, movement.reason) == (
        Kind.RECEIVE,
        50,
        0,
        Reason.RECEIVED,
    )
    assert (movement.reference, movement.actor, movement.created_at, movement.order_id) == (CAUSE, "usr_1", NOW, None)
    assert events == ()


def test_a_second_warehouse_stands_in_order_of_priority():
    near = Warehouse(code="near", priority=-1)

    after, _, _ = adjusted(a_stock(on_hand=3), 7, warehouse=near)

    assert [(level.warehouse, level.on_hand) for level in after.levels] == [("near", 7), ("main", 3)]
    assert (after.on_hand, after.reserved, after.available, after.version) == (10, 0, 10, 2)
    assert after.key == "MUG-RED"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Reason.RECEIVED, Kind.RECEIVE),
        (Reason.DAMAGED, Kind.ADJUST),
        (Reason.COUNTED, Kind.ADJUST),
        (Reason.RETURNED, Kind.RETURN),
        (Reason.CORRECTION, Kind.CORRECT),
    ],
)
def test_the_reason_of_an_adjustment_says_what_kind_of_movement_it_is(reason, kind):
    assert adjusted(None, 1, reason)[1].kind is kind


def test_what_is_reserved_cannot_be_taken_away():
    known = a_stock(on_hand=10, reserved=8)

    with pytest.raises(stock.StillReserved, match="MUG-RED: 10 on hand, 8 of them held for orders"):
        adjusted(known, -3, Reason.DAMAGED)

    assert adjusted(known, -2, Reason.DAMAGED)[0].on_hand == 8


def test_on_hand_never_falls_below_zero_even_with_backorders():
    known = a_stock(on_hand=10, reserved=8, backorder_limit=20)

    with pytest.raises(stock.StillReserved):
        adjusted(known, -11, Reason.COUNTED)

    assert adjusted(known, -10, Reason.COUNTED)[0].on_hand == 0


def test_stock_of_an_unknown_product_is_refused():
    with pytest.raises(ProductUnknown):
        adjusted(None, 1, offer=None)


def test_only_the_main_warehouse_opens_by_itself():
    assert stock.open_warehouse(None, "main") == Warehouse(code="main", priority=0)
    assert stock.open_warehouse(Warehouse(code="far", priority=9), "far").priority == 9
    with pytest.raises(stock.WarehouseUnknown):
        stock.open_warehouse(None, "far")
    assert MAIN.key == "main"


def test_low_stock_is_told_once_a_crossing():
    known = a_stock(on_hand=8, low_threshold=5)

    low, _, first = adjusted(known, -3, Reason.DAMAGED)
    lower, _, second = adjusted(low, -1, Reason.DAMAGED)
    again, _, third = adjusted(lower, 10)
    _, _, fourth = adjusted(again, 10)

    assert first == (StockLow(sku="MUG-RED", warehouse="main", available=5, threshold=5),)
    assert second == ()
    assert third == (StockReplenished(sku="MUG-RED", warehouse="main", available=14, threshold=5),)
    assert fourth == ()


def reserved(known, units, at=NOW):
    kind = Kind.RESERVE if units > 0 else Kind.RELEASE
    movement = a_step(at=at).movement(kind, CAUSE, "MUG-RED", "main", reserved_delta=units)
    (after,), told = stock.move({"MUG-RED": known}, (movement,))
    return after, [type(event) for event in told]


def test_who_orders_and_cancels_again_and_again_has_low_stock_told_once_a_day():
    known, told = a_stock(on_hand=6, low_threshold=5), []
    for minutes in range(0, 3 * 24 * 60, 20):
        for units in (1, -1):
            known, events = reserved(known, units, at=NOW + timedelta(minutes=minutes))
            assert known.levels[0].low is (units > 0)
            told += events

    assert told == [StockLow] * 3


def test_low_stock_is_told_again_at_once_when_staff_filled_the_shelf_meanwhile():
    low, first = reserved(a_stock(on_hand=6, low_threshold=5), 1)
    cancelled, second = reserved(low, -1)
    filled, _, third = adjusted(cancelled, 1)
    _, fourth = reserved(filled, 2)

    assert (first, second, fourth) == ([StockLow], [], [StockLow])
    assert third == (StockReplenished(sku="MUG-RED", warehouse="main", available=7, threshold=5),)


def test_stock_that_fell_again_within_the_day_is_told_as_soon_as_it_moves_after_it():
    low, _ = reserved(a_stock(on_hand=6, low_threshold=5), 1)
    again, quiet = reserved(reserved(low, -1)[0], 1, at=NOW + timedelta(hours=23))

    assert quiet == []
    assert reserved(again, 1, at=NOW + timedelta(hours=23, minutes=59))[1] == []
    assert reserved(again, 1, at=NOW + timedelta(days=1))[1] == [StockLow]


def test_a_warehouse_without_the_sku_has_none_available():
    assert a_stock(on_hand=3).available_at("far") == 0
    assert a_stock(on_hand=3, reserved=1, backorder_limit=4).available_at("main") == 6


def test_movements_of_one_batch_build_on_each_other():
    movements = [
        STEP.movement(Kind.RESERVE, CAUSE, "MUG-RED", "main", reserved_delta=2),
        STEP.movement(Kind.RESERVE, CAUSE, "CAP-RED", "main", reserved_delta=1),
        STEP.movement(Kind.SHIP, CAUSE, "MUG-RED", "main", delta=-2, reserved_delta=-2),
    ]

    changed, events = stock.move({"MUG-RED": a_stock(on_hand=9), "CAP-RED": a_stock("CAP-RED", on_hand=1)}, movements)

    assert [(each.sku, each.on_hand, each.reserved) for each in changed] == [("MUG-RED", 7, 0), ("CAP-RED", 1, 1)]
    assert events == (StockLow(sku="CAP-RED", warehouse="main", available=0, threshold=0),)


@given(st.lists(st.integers(-20, 20).filter(bool), max_size=20))
def test_on_hand_is_always_the_sum_of_its_movements(deltas):
    known, moved = None, []
    for delta in deltas:
        try:
            known, movement, _ = adjusted(known, delta)
        except stock.StillReserved:
            continue
        moved.append(movement.delta)

    assert (known.on_hand if known else 0) == sum(moved)


def test_a_movement_is_known_by_its_reference_sku_warehouse_and_kind():
    movement = adjusted(None, 1)[1]

    assert movement.key == (CAUSE, "MUG-RED", "main", Kind.RECEIVE)
