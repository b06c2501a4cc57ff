"""The machine with all rules, and a run of it."""

from collections import Counter
from inspect import getmembers

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RULE_MARKER, initialize, run_state_machine_as_test

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


class AnySequence(Customers, Staff, Provider, Messages):
    """Whatever customers, staff, the provider, the network and time do, in any order."""

    @initialize(
        shelves=st.lists(st.integers(0, 5), min_size=6, max_size=6),
        orders=st.lists(orders, min_size=1, max_size=3),
        lived=st.integers(0, 7),
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


def only(*names: str) -> type[AnySequence]:
    """The machine with these rules only, so that it comes to the point soon."""
    rules = {name: it for name, it in getmembers(AnySequence) if hasattr(it, RULE_MARKER)}
    return type("FewRules", (AnySequence,), {name: _by_hand(rules[name]) for name in rules.keys() - names})


def _by_hand(rule):
    """What the rule does, for those who call it; no rule any more."""

    def act(self, *args):
        rule(self, *args)

    return act


def explore(machine: type[AnySequence], shop: Shop, profile: settings) -> Counter[str]:
    """Runs examples until they are through or one fails; says what was reached, and how often."""
    machine.shop, machine.reached = shop, Counter()
    STRUCK.clear()
    run_state_machine_as_test(machine, settings=profile)
    return machine.reached + STRUCK
