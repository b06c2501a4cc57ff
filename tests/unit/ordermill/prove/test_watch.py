"""The end of a run: every promise, of one and the same look, once the shop is at rest."""

import asyncio

import pytest

from ordermill.audit import INVARIANTS, Verdict
from ordermill.prove import watch
from ordermill.prove.watch import Evidence, Watch

AT_ONCE, AT_REST = INVARIANTS["O4"], INVARIANTS["O3"]
KEPT, BROKEN = [], [{"order_id": "an order"}]


@pytest.fixture
def at_rest(monkeypatch):
    """Looks that find these rows against each of the two promises, one after the other; what came of it."""

    def looks(*found):
        left = [[Verdict(AT_ONCE, a, 0, len(a)), Verdict(AT_REST, b, 0, len(b))] for a, b in found]

        async def audit(_url, _question):
            return left.pop(0)

        async def evidence():
            return Evidence((), (), ())

        monkeypatch.setattr(watch, "audit", audit)
        monkeypatch.setattr(watch, "EACH", 0.0)
        seen = Watch("")
        waited = asyncio.run(seen.at_rest(evidence))
        return waited, sorted(seen.broken), len(left)

    return looks


def test_it_looks_until_all_holds_and_not_once_more(at_rest):
    waited, broken, left = at_rest((KEPT, BROKEN), (KEPT, KEPT), (BROKEN, BROKEN))

    assert waited is not None
    assert (broken, left) == ([], 1)


def test_what_holds_at_any_instant_is_asked_of_everything_once_it_is_at_rest(at_rest):
    assert at_rest((KEPT, BROKEN), (BROKEN, KEPT))[1:] == (["O4"], 0)


def test_what_never_comes_to_rest_is_broken(at_rest, monkeypatch):
    monkeypatch.setattr(watch, "DRAINS_WITHIN", 0.0)

    assert at_rest((KEPT, BROKEN), (KEPT, KEPT)) == (None, ["O3"], 1)
