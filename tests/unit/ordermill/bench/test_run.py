"""Which phases a run has, and what it makes of them."""

from pathlib import Path

import pytest

from ordermill.bench import beside, run
from ordermill.bench.run import Run
from ordermill.bench.scenarios import Scenario


class Measuring:
    """Remembers what was asked for; an order costs more with every phase."""

    def __init__(self):
        self.asked = []

    async def phase(self, name, **asked):
        self.asked.append((name, asked))
        return {"name": name, "confirmed_per_second": 900.0, "cpu_us_per_order_total": 100.0 + len(self.asked)}


@pytest.fixture
def measuring():
    return Measuring()


async def test_a_plain_run_is_a_closed_loop(measuring):
    await run._plain(Run(Path(), orders=50, clients=7), None, measuring)

    assert measuring.asked == [("saturated", {"orders": 50, "clients": 7})]


async def test_a_rate_is_an_open_loop(measuring):
    await run._plain(Run(Path(), orders=50, rate=300.0), None, measuring)

    assert measuring.asked == [("at the given rate", {"orders": 50, "rate": 300.0})]


async def test_half_is_half_of_what_was_confirmed_a_second(measuring):
    await run._plain(Run(Path(), orders=50, clients=7, half=True), None, measuring)

    assert measuring.asked[1:] == [("half load", {"orders": 50, "rate": 450.0})]


async def test_a_million_is_stored_in_ten_parts_between_two_equal_runs(measuring):
    asked = Run(Path(), Scenario.MILLION, orders=50, clients=7, stored=1_000)

    phases = await run._million(asked, None, measuring)

    same = {"orders": 50, "clients": 7}
    assert (measuring.asked[0], measuring.asked[-1]) == (("empty shop", same), ("1000 stored", same))
    assert [phase["orders"] for _, phase in measuring.asked[1:-1]] == [100] * 10
    assert measuring.asked[2][0] == "100 to 200"
    assert run._growth(asked, phases) == 1.11
    assert run._growth(Run(Path()), phases) is None


def test_another_way_is_compared_in_orders_a_second_and_in_what_an_order_costs():
    ours = {"confirmed_per_second": 3_000.0, "cpu_us_per_order_total": 250.0}
    theirs = {"confirmed_per_second": 60.0, "cpu_us_per_order_total": 15_000.0}

    assert beside.compared(ours, theirs) == {"orders_per_second": 50.0, "cpu_per_order": 60.0}
