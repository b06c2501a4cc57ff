"""What the clients saw: the orders that they were told of, which are kept in a file, and every try with its answer."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chassis.ids import parse_typeid
from ordermill.audit import Told
from ordermill.ours import appending

IN_TIME = 10.0


@dataclass
class Ledger:
    """Everything that the report says about clients. ``file`` gets a line for each order before anything else happens.

    A try is one POST /orders as a client library makes it: when its connection is cut it is sent again under its key.
    It is answered when a whole answer came within ten seconds of its beginning, whatever the answer was.
    """

    file: Path
    told: list[Told] = field(default_factory=list)
    tries: int = 0
    unanswered: int = 0
    cut: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    acts: Counter[str] = field(default_factory=Counter)
    wrong: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, order: dict[str, Any], key: str) -> None:
        """An order was answered with 2xx."""
        told = Told(parse_typeid("ord", order["id"]), parse_typeid("usr", order["customer_id"]), key)
        line = {"order_id": str(told.order_id), "customer_id": str(told.customer_id), "key": key}
        with appending(self.file) as lines:
            lines.write(json.dumps(line) + "\n")
        self.told.append(told)

    def contradict(self, what: str, **seen: Any) -> None:
        """A client was told two things that cannot both be true."""
        self.wrong.append({"what": what, **seen})

    @property
    def answered(self) -> float:
        """The share of tries that were answered in time."""
        return 1 - self.unanswered / self.tries if self.tries else 1.0


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies; 0 without values."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0
