"""``--seed N`` replays one seed, and nothing else of the simulation."""

import gc
import sys
from collections.abc import Iterator

import pytest

REPLAY = "test_one_seed_is_replayed"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("--seed")
    ours = [item for item in items if "tests/simulation/" in item.nodeid]
    unwanted = {item for item in ours if (item.name == REPLAY) is (seed is None)}
    config.hook.pytest_deselected(items=[item for item in items if item in unwanted])
    items[:] = [item for item in items if item not in unwanted]


@pytest.fixture(autouse=True, scope="module")
def unmeasured() -> Iterator[None]:
    """No coverage is counted here: what a line does shows elsewhere, and this runs each of them a million times.

    Nor is garbage looked for in what was imported.
    """
    tracing = sys.gettrace()
    sys.settrace(None)
    gc.freeze()
    yield
    gc.unfreeze()
    sys.settrace(tracing)
