"""What is ordered in each scenario."""

import json
from collections import Counter

import pytest

from ordermill.bench.orders import SCARCE, SOLD_OUT_SKU, bodies, shelves
from ordermill.bench.scenarios import Scenario


def ordered(scenario, skus=20, count=100):
    return [json.loads(body) for body in bodies(scenario, [shelf.sku for shelf in shelves(scenario, skus)], count)]


def test_a_normal_order_has_two_lines_for_different_skus_and_many_are_ordered():
    orders = ordered(Scenario.NORMAL)

    assert all(len({line["sku"] for line in order["lines"]}) == 2 for order in orders)
    assert len({line["sku"] for order in orders for line in order["lines"]}) == 20
    assert {order["payment"]["token"] for order in orders} == {"tok_ok"}


def test_the_orders_are_the_same_each_time():
    assert ordered(Scenario.NORMAL) == ordered(Scenario.NORMAL)
    assert len(ordered(Scenario.NORMAL, count=10_000)) == 4_000


def test_a_hot_product_is_in_every_line():
    assert {line["sku"] for order in ordered(Scenario.HOT) for line in order["lines"]} == {"BENCH-00000"}


@pytest.mark.parametrize(("scenario", "token"), [(Scenario.MIXED, "tok_declined"), (Scenario.SLOW, "tok_slow")])
def test_a_tenth_of_the_cards_does_something_else(scenario, token):
    assert Counter(order["payment"]["token"] for order in ordered(scenario)) == {"tok_ok": 90, token: 10}


def test_a_tenth_of_mixed_orders_wants_what_soon_is_sold_out():
    wanted = [order for order in ordered(Scenario.MIXED) if order["lines"][1]["sku"] == SOLD_OUT_SKU]

    assert len(wanted) == 10
    assert [shelf.stock for shelf in shelves(Scenario.MIXED, 20) if shelf.sku == SOLD_OUT_SKU] == [SCARCE]
