"""The machine with all rules, and a run of it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

from tests.stateful.customers import Customers, orders
from tests.stateful.faults import STRUCK
from tests.stateful.messages import Messages
from tests.stateful.provider import Provider
from tests.stateful.shop import Shop
from tests.stateful.staff import Staff

# No deadline and no health check: how long a step takes says something about the machine only.
PROFILE = settings(
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


Walk = Sequence[tuple[str, dict[str, Any]]]


class AnySequence(Customers, Staff, Provider, Messages):
    """Whatever customers, staff, the provider, the network and time do, in any order."""

    @initialize(
        shelves=st.lists(st.integers(0, 5), min_size=6, max_size=6),
        orders=st.lists(orders, min_size=1, max_size=3),
        lived=st.one_of(st.just(0), st.integers(0, 6)),
    )
    def open_the_shop(self, shelves, orders, lived):
        """Some orders are new when the example begins, and some have come a part of their way."""
        self.fill_the_shelves(shelves)
        for basket, card, customer, at in orders:
            self.place_one(basket, card, customer, at, None)
        way = (self.a_good_hour, self.ship_one, self.a_good_hour, self.ship_everything, self.hand_over_everything)
        for live in (*way, self.a_good_hour)[:lived]:
            live()

    def ship_one(self):
        self.ship(0, 0, None)


def walk(steps: Walk) -> None:
    """One example by hand."""
    machine = AnySequence()
    try:
        for name, given in steps:
            getattr(machine, name)(**given)
            machine.no_promise_is_broken()
    finally:
        machine.teardown()


def explore(shop: Shop, profile: settings, walks: Sequence[Walk] = ()) -> Counter[str]:
    """Goes the walks, then runs examples until one fails; says what was reached, and how often."""
    AnySequence.shop, AnySequence.reached = shop, Counter()
    STRUCK.clear()
    for steps in walks:
        walk(steps)
    run_state_machine_as_test(AnySequence, settings=profile)
    return AnySequence.reached + STRUCK
