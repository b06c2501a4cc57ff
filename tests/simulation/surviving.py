"""Many seeds in a row, until enough orders were placed and enough processes killed; and every await point crashed."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

from tests.simulation.loop import Point
from tests.simulation.simulation import Simulation
from tests.simulation.world import Violation

LONG = os.environ.get("ORDERMILL_LONG") == "1"
ORDERS, CRASHES = (20_000, 100_000) if LONG else (5_000, 20_000)
ORDERS_EACH = 100
PARTS = 2
AIMS = 10
MORE = 20


@dataclass
class Survived:
    """What many seeds together have seen."""

    orders: int = 0
    crashes: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    crashed: Counter[Point] = field(default_factory=Counter)
    seen: dict[Point, list[tuple[Any, ...]]] = field(default_factory=dict)

    @property
    def never_crashed(self) -> list[Point]:
        return sorted(self.seen.keys() - self.crashed.keys())

    def add(self, seed: int, *targets: str) -> None:
        """Runs one seed; a broken promise says how to see it again."""
        try:
            simulation = Simulation(seed, orders=ORDERS_EACH, targets=targets).run()
        except Violation as violation:
            aimed = "".join(f" --crash-at '{target}'" for target in targets)
            again = f"{violation}; again: pytest tests/simulation --seed {seed}{aimed}"
            raise AssertionError(again) from None
        counts = simulation.shop.counts
        self.orders += len(simulation.people.told)
        self.crashes += counts.faults["killed"]
        self.faults += counts.faults
        self.crashed += counts.crashed
        self.statuses += Counter(row["status"] for row in simulation.shop.rows("order_service", "orders"))
        for point in counts.seen:
            self.seen.setdefault(point, []).append((seed, *targets))


def survived(part: int) -> Survived:
    """A part of all seeds: every ``PARTS``th one. At points that no crash has hit by then it is aimed, at all of a run
    together: that run is the same up to the first, but for what is not drawn from the seed, so that several are tried.
    What is reached so seldom that no aim has hit it is aimed at in the newest run of it, with one more seed each time.
    """
    total, seeds = Survived(), iter(_seeds(part))
    for seed in seeds:
        if total.orders * PARTS >= ORDERS and total.crashes * PARTS >= CRASHES:
            break
        total.add(seed)
    for nth in range(AIMS):
        for point in total.never_crashed:
            _aim(total, point, nth)
    for seed in islice(seeds, MORE):
        if not total.never_crashed:
            break
        total.add(seed)
        for point in total.never_crashed:
            _aim(total, point, -1)
    return total


def _aim(total: Survived, point: Point, nth: int) -> None:
    if point in total.crashed or nth >= len(total.seen[point]):
        return
    run = total.seen[point][nth]
    total.add(*run, *(str(each) for each in total.never_crashed if run in total.seen[each]))


def _seeds(part: int) -> Iterable[int]:
    return count(part, PARTS)
