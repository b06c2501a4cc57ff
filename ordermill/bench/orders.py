"""What is ordered in each scenario: the skus with their stock, and the bodies of the orders."""

import json
from dataclasses import dataclass
from random import Random
from typing import Any

from ordermill.bench.scenarios import Scenario
from ordermill.launch import AN_ORDER

AMPLE = 1_000_000_000
SCARCE = 100
VARIETY = 4_000
LINES = 2
DECLINED, SOLD_OUT, SLOW = 10, 10, 10  # each how manieth order
SOLD_OUT_SKU = "BENCH-SCARCE"


@dataclass(frozen=True)
class Shelf:
    """A product that can be ordered: its price in cents and how many there are."""

    sku: str
    price: int
    stock: int = AMPLE


def shelves(scenario: Scenario, skus: int) -> list[Shelf]:
    """What is on sale."""
    many = [Shelf(f"BENCH-{number:05}", 500 + number % 100 * 25) for number in range(1 if _is_hot(scenario) else skus)]
    return [*many, Shelf(SOLD_OUT_SKU, 999, SCARCE)] if scenario is Scenario.MIXED else many


def _is_hot(scenario: Scenario) -> bool:
    return scenario is Scenario.HOT


def bodies(scenario: Scenario, skus: list[str], count: int) -> list[str]:
    """Orders of two lines for skus at random, the same ones each time; more orders than these begin again with them."""
    random = Random(1)  # noqa: S311 -- it has to be repeatable
    sold = [sku for sku in skus if sku != SOLD_OUT_SKU]
    return [json.dumps(_order(scenario, number, sold, random)) for number in range(min(count, VARIETY))]


def _order(scenario: Scenario, number: int, skus: list[str], random: Random) -> dict[str, Any]:
    chosen = random.sample(skus, LINES) if len(skus) >= LINES else skus * LINES
    token = "tok_ok"  # noqa: S105 -- a test card
    if scenario is Scenario.SLOW and number % SLOW == 0:
        token = "tok_slow"  # noqa: S105 -- a test card
    if scenario is Scenario.MIXED and number % DECLINED == 1:
        token = "tok_declined"  # noqa: S105 -- a test card
    if scenario is Scenario.MIXED and number % SOLD_OUT == 2:  # noqa: PLR2004 -- another order than a declined one
        chosen = [chosen[0], SOLD_OUT_SKU]
    lines = [{"sku": sku, "quantity": random.randint(1, 3)} for sku in chosen]
    return {**AN_ORDER, "lines": lines, "payment": {"token": token}}
