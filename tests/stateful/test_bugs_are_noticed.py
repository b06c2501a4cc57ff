"""A machine that cannot fail proves nothing: each belt that is taken away is missed within a few examples."""

import pytest
from hypothesis import Phase, settings

from tests.stateful.bugs import BUGS, Bug
from tests.stateful.sequence import PROFILE, explore, only

ENOUGH = settings(PROFILE, max_examples=60, stateful_step_count=15, phases=[Phase.generate])


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_it_is_noticed(bug: Bug, shop, monkeypatch):
    bug.plant(monkeypatch)

    with pytest.raises(AssertionError) as noticed:
        explore(only(*bug.rules), shop, ENOUGH)

    assert bug.seen_as in str(noticed.value)
