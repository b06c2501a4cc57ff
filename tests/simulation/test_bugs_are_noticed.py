"""A simulation that cannot fail proves nothing: each deliberate bug, switched on alone, breaks a promise."""

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.simulation import Simulation
from tests.simulation.world import Violation

SEEDS = range(100)
# Where those that show seldom were noticed last: it is looked there first. Another order of events moves them.
LAST_SEEN = {
    "partial batch kept after a failure": 0,
    "no inbox and no guard": 0,
    "refund before the warehouse agrees": 0,
}
PATIENCE = 700.0
NAMED = {
    "no tombstone in stock",
    "no tombstone in payment",
    "expiry releases stock",
    "timeout is a decline",
    "new key per try",
    "refund before the warehouse agrees",
    "late success not reversed",
    "unconditional reserve",
    "publish without outbox",
    "mark before confirm",
    "acknowledge first",
    "no inbox and no guard",
    "refund not idempotent",
    "partial batch kept after a failure",
}


def test_every_bug_that_was_named_is_tried():
    assert BUGS.keys() >= NAMED


@pytest.mark.parametrize("name", BUGS)
def test_it_is_noticed(name: str):
    assert _noticed(name)


def _noticed(name: str) -> str:
    """The first promise that it breaks; empty when no seed of a few shows it."""
    for seed in sorted(SEEDS, key=lambda seed: seed != LAST_SEEN.get(name)):
        try:
            Simulation(seed, bug=BUGS[name], patience=PATIENCE).run()
        except Violation as violation:
            return str(violation)
    return ""
