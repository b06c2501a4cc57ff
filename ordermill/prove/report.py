"""What a run has shown: as a value for programs, as tables for people, and whether it is good enough."""

import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from ordermill.output import rows
from ordermill.prove.ledger import Ledger, quantile
from ordermill.prove.nemesis import Inflicted
from ordermill.prove.watch import Watch

# The bars of a full run; a shorter one has to keep the promises and to drain.
FULL = 180.0
ORDERS, FAULTS, KINDS, ANSWERED = 5_000, 200, 12, 0.99


@dataclass(frozen=True)
class Report:
    """Times in seconds, latencies in milliseconds, the share of answered tries between 0 and 1."""

    seed: int
    seconds: float
    clients: int
    accepted: int
    orders: dict[str, int]
    acts: dict[str, int]
    tries: dict[str, Any]
    confirmations: dict[str, Any]
    faults: list[dict[str, Any]]
    missed: int
    restarts: dict[str, int]
    audits: dict[str, Any]
    drained: float | None
    poisoned: int
    broken: list[dict[str, Any]]
    contradictions: list[dict[str, Any]]
    home: str

    @property
    def inflicted(self) -> int:
        return sum(fault["count"] for fault in self.faults)

    @property
    def held(self) -> bool:
        """Whether every promise held."""
        return not self.broken and not self.contradictions

    def short_of(self) -> list[str]:
        """The bars that were missed, each as a sentence."""
        return [sentence for reached, sentence in self._bars() if not reached]

    def _bars(self) -> Iterator[tuple[bool, str]]:
        yield self.drained is not None, "it had not drained within 60 s"
        if self.seconds >= FULL:
            share = self.tries["answered"]
            yield self.accepted >= ORDERS, f"{self.accepted} orders were accepted, not {ORDERS}"
            yield self.inflicted >= FAULTS, f"{self.inflicted} faults were inflicted, not {FAULTS}"
            yield len(self.faults) >= KINDS, f"{len(self.faults)} kinds of faults were inflicted, not {KINDS}"
            yield share >= ANSWERED, f"{share:.2%} of tries were answered within 10 s, not {ANSWERED:.0%}"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "inflicted": self.inflicted, "held": self.held, "short_of": self.short_of()}


def faults(inflicted: Sequence[Inflicted], confirmed: Sequence[datetime]) -> list[dict[str, Any]]:
    """By kind: how many, until what was hurt was ready again, and until the shop next confirmed an order."""
    done = [each for each in inflicted if not each.missed]
    kinds = sorted({each.fault.kind for each in done})
    return [_of_kind(kind, [each for each in done if each.fault.kind == kind], sorted(confirmed)) for kind in kinds]


def _of_kind(kind: str, done: Sequence[Inflicted], confirmed: Sequence[datetime]) -> dict[str, Any]:
    ready = [(each.ready_at - each.began_at).total_seconds() for each in done if each.ready_at]
    next_one = [after for each in done if (after := _next(confirmed, each.began_at)) is not None]
    times = {"ready": _spread(ready), "next_confirmed": _spread(next_one)}
    return {"kind": str(kind), "count": len(done), **times, "not_back": len(done) - len(ready)}


def _next(confirmed: Sequence[datetime], since: datetime) -> float | None:
    place = bisect_left(confirmed, since)
    return (confirmed[place] - since).total_seconds() if place < len(confirmed) else None


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"p50": round(quantile(values, 0.5), 2), "max": round(max(values, default=0.0), 2)}


def tries(ledger: Ledger) -> dict[str, Any]:
    """POST /orders, and how many connections were cut under it; latencies are of those that did not ask to wait."""
    milliseconds = [1000 * each for each in ledger.latencies]
    spread = {name: round(quantile(milliseconds, share), 1) for name, share in (("p50", 0.5), ("p99", 0.99))}
    return {
        "count": ledger.tries,
        "answered": round(ledger.answered, 5),
        "answers": dict(sorted(ledger.answers.items())),
        "unanswered": ledger.unanswered,
        "cut": dict(ledger.cut),
        **spread,
        "max": round(max(milliseconds, default=0.0), 1),
    }


def confirmations(confirmed: Sequence[datetime]) -> dict[str, Any]:
    """How many orders were confirmed, and the longest time in which none was."""
    gaps = [(after - before).total_seconds() for before, after in pairwise(sorted(confirmed))]
    return {"count": len(confirmed), "longest_gap": round(max(gaps, default=0.0), 2)}


def audits(watch: Watch) -> dict[str, Any]:
    """How often was looked, how often nothing could be seen, and how long the slowest look took."""
    return {
        "looks": watch.looks,
        "blind": watch.blind,
        "slowest": round(watch.slowest, 2),
        "promises": watch.promises,
    }


def show(report: Report) -> None:
    """For people, on stdout."""
    rows([("fault", "times", "ready p50", "max", "next confirmed p50", "max"), *_lines(report.faults)])
    sys.stdout.write("\n")
    facts = dict(_facts(report))
    width = max(map(len, facts))
    for name, value in facts.items():
        sys.stdout.write(f"{name:<{width}}  {value}\n")
    for broken in report.broken:
        sys.stdout.write(f"\nBROKEN {broken['id']}: {broken['promise']}, seen {broken['seen']}\n")
        for row in broken["rows"]:
            sys.stdout.write(f"  {row}\n")
    for wrong in report.contradictions:
        sys.stdout.write(f"\nBROKEN to a client: {wrong}\n")


def _lines(inflicted: Iterable[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for fault in inflicted:
        times = (fault[of][which] for of in ("ready", "next_confirmed") for which in ("p50", "max"))
        yield fault["kind"], str(fault["count"]), *(f"{seconds:.1f} s" for seconds in times)


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    tried, seen, looked = report.tries, report.confirmations, report.audits
    yield "seed", f"{report.seed}, {report.seconds:g} s, {report.clients} clients"
    yield "faults", f"{report.inflicted} of {len(report.faults)} kinds; {report.missed} found nobody to hurt"
    yield "orders accepted", str(report.accepted)
    yield "orders by outcome", _counted(report.orders)
    yield "beside them", _counted(report.acts)
    yield "tries of POST /orders", f"{tried['count']}, answered within 10 s: {tried['answered']:.2%}"
    yield "answers", _counted({**tried["answers"], "none": tried["unanswered"]})
    yield "connections cut", _counted(tried["cut"])
    yield "latency of POST", f"p50 {tried['p50']:.0f} ms, p99 {tried['p99']:.0f} ms, max {tried['max']:.0f} ms"
    yield "confirmations", f"{seen['count']}, at most {seen['longest_gap']:.1f} s without one"
    yield "restarts", _counted(report.restarts)
    yield "audits", f"{looked['looks']}, {looked['blind']} without a database, {looked['slowest']:.1f} s the slowest"
    yield "drained", "not within 60 s" if report.drained is None else f"after {report.drained:.1f} s"
    yield "promises", f"{looked['promises']} asked for, {len(report.broken) + len(report.contradictions)} broken"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in Counter(counts).most_common()) or "none"
