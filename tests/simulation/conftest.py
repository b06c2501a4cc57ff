"""``--seed N`` replays one seed, and nothing else of the simulation."""

import gc
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
def no_garbage_is_looked_for_in_what_was_imported() -> Iterator[None]:
    gc.freeze()
    yield
    gc.unfreeze()
