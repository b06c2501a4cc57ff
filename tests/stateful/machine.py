"""What all rules stand on: the shop, its orders, what was reached, and what must hold after each rule."""

import sys
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hypothesis import currently_in_test_context, event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from chassis.ids import typeid
from ordermill.audit import Told
from tests.stateful.faults import Fault
from tests.stateful.shop import PRICES, WAREHOUSES, Shop

ADDRESS = {"name": "Ada", "line1": "1 Mill Lane", "city": "Bonn", "postal_code": "53111", "country": "DE"}

either = st.integers(0, 1)
which = st.integers(0, 11)
faults = st.builds(Fault, st.sampled_from(["kill", "cut"]), st.integers(1, 9))
seldom = st.one_of(st.none(), st.none(), st.none(), faults)


@dataclass(frozen=True, slots=True)
class Placed:
    """An order as its client knows it."""

    id: UUID
    customer: int
    key: str
    body: dict[str, Any]
    content: bytes

    @property
    def ref(self) -> str:
        return typeid("ord", self.id)


class Machine(RuleBasedStateMachine):
    """``shop`` and ``reached`` are the run's; the rest is the example's."""

    shop: Shop
    reached: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.placed: list[Placed] = []
        self.keys = 0
        self.run(self.shop.begin())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.shop.loop.run_until_complete(work)

    def ask(self, *args, **given):
        return self.run(self.shop.ask(*args, **given))

    def rows(self, sql: str, *arguments) -> list[Any]:
        return self.run(self.shop.stage.rows(sql, *arguments))

    def one(self, sql: str, *arguments) -> Any:
        """The one row of a query, or None."""
        return next(iter(self.rows(sql, *arguments)), None)

    def note(self, what: str) -> None:
        """Counts that something was reached in this run."""
        self.reached[what] += 1
        if currently_in_test_context():
            event(what)

    def demand_promises(self, *, drained):
        told = [Told(one.id, self.shop.customers[one.customer], one.key) for one in self.placed]
        broken = self.run(self.shop.promises.look(told, drained=drained))
        for state in broken.pop("reached", ()):
            self.note(state)
        assert not broken, f"broken: {broken}"

    def new_key(self) -> str:
        self.keys += 1
        return f"key-{self.keys}"

    def pick(self, number: int) -> Placed:
        return self.placed[number % len(self.placed)]

    def status_of(self, placed: Placed) -> str:
        return self.one("SELECT status FROM order_service.orders WHERE id = $1", placed.id)["status"]

    def fill_the_shelves(self, shelves):
        """Few units, so that they run short; some orders must be served from two warehouses."""
        places = [(sku, warehouse) for sku in PRICES for warehouse in WAREHOUSES]
        filled = self.run(
            self.shop.stock({place: units for place, units in zip(places, shelves, strict=True) if units})
        )
        assert [asked.status for asked in filled] == [201] * len(filled)

    @invariant()
    def no_promise_is_broken(self):
        """Whatever was done last, every promise that holds at any instant holds now."""
        self.demand_promises(drained=False)

    def teardown(self):
        """Unless the example has failed: the shop comes to rest, and then every promise holds."""
        try:
            if sys.exc_info()[0] is None:
                self.come_to_rest()
        finally:
            self.run(self.shop.stop())

    def come_to_rest(self):
        self.run(self.shop.drain())
        self.demand_promises(drained=True)
