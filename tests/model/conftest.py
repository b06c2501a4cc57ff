"""The largest shop that is explored, once for all tests."""

import pytest

from tests.model.explore import Found, Plan, explore
from tests.model.shop import World
from tests.model.states import Scope

# As many attempts as the domain allows, two shipments, either size of a refund, returns, and a reversal refused.
WHOLE = Plan(
    Scope(attempts=3, shipments=2, refunds=("part", "full"), cancels=2), World(reversal_refused=True, returns=True)
)


@pytest.fixture(scope="session")
def whole_shop() -> Found:
    return explore(WHOLE)
