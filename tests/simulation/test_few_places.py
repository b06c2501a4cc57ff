"""Few places for calls, so that most of them are refused to who has some already: all of them are made nevertheless."""

import pytest

from tests.simulation.simulation import Simulation


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_with_few_places_for_calls_every_order_comes_to_its_end(seed):
    simulation = Simulation(seed, orders=60)
    settings = simulation.shop.settings
    settings["payment_service"] = settings["payment_service"].model_copy(update={"calls_in_flight": 3})

    simulation.run()
