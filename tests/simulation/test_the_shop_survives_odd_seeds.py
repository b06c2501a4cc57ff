"""The other half of the seeds (test_the_shop_survives_even_seeds.py)."""

import pytest

from tests.simulation.surviving import CRASHES, ORDERS, PARTS, Survived, survived


@pytest.fixture(scope="module")
def after() -> Survived:
    return survived(1)


def test_no_promise_is_broken_and_everything_drains(after):
    assert after.orders * PARTS >= ORDERS
    assert after.crashes * PARTS >= CRASHES


def test_every_await_point_that_is_reached_is_crashed_at(after):
    assert after.never_crashed == []
    assert len(after.crashed) >= 100


def test_orders_end_in_every_way(after):
    assert after.statuses.keys() >= {"confirmed", "shipped", "delivered", "cancelled", "rejected"}
    assert after.faults.keys() == {"killed", "stopped", "frozen", "database restarts", "broker restarts"}
