"""A model that cannot fail proves nothing: each rule that is taken away breaks a promise or leaves orders stuck."""

import pytest

from tests.model.bugs import BUGS, Bug
from tests.model.explore import Plan, explore


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_it_is_noticed(bug: Bug):
    # given
    plan = Plan(bug.scope, bug.world, bug.orders, bug.stock, bug.rows)

    # when
    found = explore(plan)

    # then
    assert bug.seen_as in [*found.broken, *(["stuck"] if found.stuck else [])]


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_without_it_nothing_is_noticed(bug: Bug):
    # given the same order in the same scope, in a world without bugs
    world = bug.world._replace(
        new_key_per_try=False, new_refund_key_per_try=False, shelf_unchecked=False, reversal_waits=True
    )

    # when
    found = explore(Plan(bug.scope, world, bug.orders, bug.stock))

    # then
    assert (found.broken, found.stuck) == ({}, [])
