"""Nothing that can happen breaks a promise, and from everywhere the shop comes to an end by its own means."""

import pytest

from tests.model.explore import Found, Plan, explore, shop
from tests.model.machine import Machine
from tests.model.promises import settled
from tests.model.shop import World
from tests.model.states import PAID, Order, Payment, Reservation, Scope
from tests.model.tables import order_rows, payment_rows, reservation_rows

ONE_CARD = World(goodwill=False, creates=("create:card",))
BACK = "return.received"


def assert_all_is_well(found: Found, *, floor: int) -> None:
    assert found.broken == {}
    assert [found.path(state) for state in found.stuck[:1]] == []
    assert len(found.states) > floor


def test_one_order_keeps_every_promise_whatever_happens_to_it(whole_shop):
    # given three attempts, two shipments, refunds of either size, returns, cancelling again after a refusal, refused
    # reversals, while the network doubles, delays and reorders, and the provider's answers get lost
    assert_all_is_well(whole_shop, floor=20_000)


def test_one_order_keeps_every_promise_when_the_shelf_is_empty():
    assert_all_is_well(explore(Plan(stock=0)), floor=50)


def test_two_orders_for_one_unit_keep_every_promise():
    assert_all_is_well(explore(Plan(Scope(1, 1, (), 1), ONE_CARD, orders=2)), floor=50_000)


def test_only_one_of_two_orders_gets_the_last_unit():
    # given
    found = explore(Plan(Scope(1, 1, (), 1), ONE_CARD._replace(duplicates=False, lost_answers=False), orders=2))

    # when
    pairs = [tuple(found.view(at).order.status for at in state) for state in found.states]

    # then
    assert ("delivered", "rejected") in pairs
    assert ("delivered", "cancelled") in pairs
    assert not [pair for pair in pairs if PAID.issuperset(pair)]


@pytest.mark.parametrize(("stock", "ends"), [(1, {"cancelled", "delivered"}), (0, {"cancelled", "rejected"})])
def test_every_end_is_reached(stock, ends):
    # given
    found = explore(Plan(stock=stock))

    # when
    reached = {view.order.status for (at,) in found.states if settled(view := found.view(at))}

    # then
    assert reached == {"none", *ends}


def test_forgetting_messages_that_cannot_matter_loses_nothing():
    # given
    scope = Scope(attempts=1, shipments=1, refunds=(), cancels=1)
    everything, reduced = Plan(scope, ONE_CARD, forgetful=False), Plan(scope, ONE_CARD)

    # when
    found, less = explore(everything), explore(reduced)

    # then
    assert_all_is_well(found, floor=10_000)
    numbers = less.shop
    forgotten = {
        (*at[:3], numbers.number(found.shop.known_books(at[3])), at[4] & numbers.keep(*at[:3]))
        for (at,) in found.states
    }
    assert forgotten == {at for (at,) in less.states}


@pytest.mark.parametrize("phase", ["pre", "post"])
def test_a_terminal_order_stays_as_it_is(phase):
    # given
    machine = Machine(Order("-"), order_rows(Scope()))
    ended = [
        state for state in machine.steps if state.status in {"rejected", "cancelled"} and state.phase in {"", phase}
    ]

    # then
    assert ended
    assert {state: machine.steps[state] for state in ended} == {state: {} for state in ended}


def test_every_fact_that_is_told_is_heard_by_somebody_or_meant_for_people():
    # given
    tables = {
        "order": Machine(Order("-"), order_rows(Scope())),
        "reservation": Machine(Reservation("-"), reservation_rows(Scope())),
        "payment": Machine(Payment(), payment_rows(Scope())),
    }
    steps = [step for machine in tables.values() for by in machine.steps.values() for step in by.values()]
    heard = {trigger.removesuffix(":enough") for machine in tables.values() for trigger in machine.triggers}

    # when
    unheard = {topic.partition(":")[0] for step in steps for topic in step.tells if topic not in heard}

    # then
    assert unheard == {
        "order.rejected",
        "order.cancelled",
        "order.shipped",
        "order.delivered",
        "payment.unresolved",
    }


def test_a_return_that_overtakes_the_refusal_of_a_cancellation_is_paid_back(whole_shop):
    # given orders that are still cancelling, and whose goods are back without their having heard of it
    waiting = [
        at
        for (at,) in whole_shop.states
        if (view := whole_shop.view(at)).reservation.returned and view.order[1:3] == ("cancelling", "post")
        if not view.order.refund
    ]

    # when they go on in every way
    moves = [[(then.why.trigger, after) for after, then in whole_shop.shop.moves(at, short=False)] for at in waiting]
    heard = [{whole_shop.view(after).order.refund for trigger, after in each if trigger == BACK} for each in moves]

    # then every one of them can hear of the return, and asks for the money
    assert len(waiting) > 500
    assert heard == [{"part:asked"}] * len(waiting)


def test_the_shop_can_be_explored_in_numbers_that_fit():
    assert len(shop(Plan()).messages) < 64
