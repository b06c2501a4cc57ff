"""What a seed shows, it shows again."""

from tests.simulation.simulation import Simulation
from tests.simulation.surviving import Survived


def test_one_seed_is_replayed(pytestconfig):
    Survived().add(pytestconfig.getoption("--seed"), *pytestconfig.getoption("--crash-at"))


def test_the_same_seed_is_the_same_run():
    # when
    first, second = (Simulation(3, orders=20).run() for _ in range(2))

    # then
    assert first.world.loop.steps == second.world.loop.steps
    assert first.shop.counts.faults == second.shop.counts.faults
    assert first.people.told == second.people.told
    assert first.post.sent == second.post.sent
