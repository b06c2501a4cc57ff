"""The tables that the model explores are what the real domains do, both ways: every state, every trigger, every row.

The states are those that the shop can get into, each reached as the shop reaches it; in each of them the real domain is
given every trigger there is, also those that could never come.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from ordermill import machines
from ordermill.diagrams import DRIVEN
from ordermill.machines.driving import SKUS, Driven, Things
from ordermill.machines.reservation import ON_HAND, shelves
from tests.model.compiled import HOLDING, MACHINES
from tests.model.conftest import WHOLE
from tests.model.explore import Found
from tests.model.machine import Machine, Step
from tests.model.states import is_beyond


class Compared(NamedTuple):
    """One trigger in one state: what the table says (None: nothing changes), and what the domain did."""

    state: Any
    trigger: str
    step: Step | None
    after: Any
    told: tuple[str, ...]
    things: Things

    @property
    def is_equal(self) -> bool:
        state, tells = (self.step.state, self.step.tells) if self.step else (self.state, ())
        return (self.after, sorted(self.told)) == (state, sorted(tells))


def compare(machine: Machine, driven: Driven, reachable: set[tuple[Any, str]]) -> Iterator[Compared]:
    """Every trigger in every state that the shop can get into, along the ways on which it gets there."""
    known, waiting = {machine.start: driven.start}, deque([machine.start])
    while waiting:
        state = waiting.popleft()
        for trigger in driven.triggers:
            if is_beyond(WHOLE.scope, state, trigger):
                continue
            things, told = driven.step(known[state], trigger)
            after = machine.start._replace(**driven.abstract(things))
            yield Compared(state, trigger, machine.steps.get(state, {}).get(trigger), after, told, things)
            if (state, trigger) in reachable and after not in known:
                known[after] = things
                waiting.append(after)


@pytest.fixture(scope="module")
def taken(whole_shop: Found) -> dict[str, set[tuple[Any, str]]]:
    steps = whole_shop.taken()
    return {name: {(state, trigger) for who, state, trigger in steps if who == name} for name in MACHINES}


@pytest.fixture(scope="module", params=MACHINES)
def compared(request, whole_shop: Found, taken) -> tuple[str, Machine, Driven, list[Compared]]:
    name = request.param
    machine, driven = whole_shop.shop.machines[name], DRIVEN[name]()
    return name, machine, driven, list(compare(machine, driven, taken[name]))


def test_the_domain_does_what_the_table_says_and_nothing_else(compared):
    *_, comparisons = compared

    assert [each for each in comparisons if not each.is_equal] == []


def test_every_row_of_the_table_is_met(compared):
    # given
    _, machine, _, comparisons = compared
    rows = [row for by in machine.rows.values() for row in by]

    # when
    met = {id(each.step.row) for each in comparisons if each.step}

    # then
    assert [row for row in rows if id(row) not in met] == []


def test_every_state_that_the_shop_gets_into_is_compared(compared, taken):
    name, *_, comparisons = compared

    assert {state for state, _ in taken[name]} <= {each.state for each in comparisons}


def test_every_trigger_of_the_table_is_given_to_the_domain(compared):
    _, machine, driven, _ = compared

    assert machine.triggers <= set(driven.triggers)


def test_no_fact_is_left_out_that_the_service_listens_to(compared):
    # given
    name, _, driven, _ = compared
    elsewhere = {
        "order": {"product.upserted", "user.erased"},
        "reservation": {"payment.unresolved", "refund.failed"},
        "payment": set(),
    }

    # when
    driven_with = {trigger.partition(":")[0] for trigger in driven.triggers}

    # then
    assert set(driven.service.decisions.topics) - driven_with == elsewhere[name]


def test_the_shelves_hold_what_the_reservation_says(whole_shop, taken):
    # given
    machine, driven = whole_shop.shop.machines["reservation"], machines.reservation()

    # when
    comparisons = list(compare(machine, driven, taken["reservation"]))

    # then
    for each in comparisons:
        left = [letter in "sd" for letter in each.after.tasks]
        back = [False, each.after.returned]
        held = each.after.status in HOLDING
        assert shelves(each.things) == {
            sku: (ON_HAND - left[at] + back[at], int(held and not left[at])) for at, sku in enumerate(SKUS)
        }


def test_a_table_that_lacks_a_row_is_found_to_differ(whole_shop, taken):
    # given
    machine, driven = whole_shop.shop.machines["reservation"], machines.reservation()
    rows = [row for by in machine.rows.values() for row in by]

    # when
    differing = []
    for gone in rows:
        lacking = Machine(machine.start, [row for row in rows if row is not gone])
        comparisons = compare(lacking, driven, taken["reservation"])
        differing.append(any(not each.is_equal for each in comparisons))

    # then
    assert differing == [True] * len(rows)
