"""A machine that cannot fail proves nothing: each belt that is taken away is missed."""

from collections import Counter

import pytest
from hypothesis import Phase, settings
from hypothesis.errors import FlakyFailure

from tests.stateful.bugs import BUGS, Bug
from tests.stateful.sequence import PROFILE, AnySequence, explore, walk

ENOUGH = settings(PROFILE, max_examples=60, phases=[Phase.generate])
FOUND_BY_CHANCE = ("answers are not stored", "a webhook settles again")


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_it_is_noticed_on_its_way(bug: Bug, shop, monkeypatch):
    bug.plant(monkeypatch)
    AnySequence.shop, AnySequence.reached = shop, Counter()

    with pytest.raises(AssertionError) as noticed:
        walk(bug.walk)

    assert bug.seen_as in str(noticed.value)


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_without_it_nothing_is_noticed_there(bug: Bug, shop):
    AnySequence.shop, AnySequence.reached = shop, Counter()

    walk(bug.walk)

    assert AnySequence.reached.total() > 0


@pytest.mark.parametrize("name", FOUND_BY_CHANCE)
def test_it_is_noticed_by_chance(name, shop, monkeypatch):
    BUGS[name].plant(monkeypatch)

    with pytest.raises((AssertionError, FlakyFailure)) as noticed:
        explore(shop, ENOUGH)

    # What two processes did at once need not come again when Hypothesis looks whether it does.
    assert isinstance(noticed.value, AssertionError) or noticed.value.subgroup(AssertionError)
