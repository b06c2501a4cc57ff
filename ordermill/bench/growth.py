"""How the cost of an order grows: with what is stored, what waits, how many processes there are, and how many skus."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ordermill.bench.measuring import Figures, Note
from ordermill.bench.run import Run, bench
from ordermill.bench.scenarios import Scenario
from ordermill.errors import Exit, Failure
from ordermill.state import Layout

STORED = (1_000, 10_000, 100_000, 1_000_000)
BACKLOGS = (1_000, 10_000, 100_000)
SKUS = (2, 20, 200, 2_000, 20_000)
LAYOUTS: tuple[Layout, ...] = ("packed", "split")
Measure = Callable[[Run, Note], Awaitable[dict[str, Any]]]
KEPT = ("cpu_us_per_order", "cpu_us_per_order_total", "confirmed_per_second", "noise")


def runs(base: Run, at_most: int) -> Iterator[tuple[str, Run]]:
    """What is measured, each in a shop of its own: against what, and how."""
    for stored in (each for each in STORED if each <= at_most):
        yield "stored", replace(base, scenario=Scenario.MILLION, stored=stored)
    for orders in (each for each in BACKLOGS if each <= at_most):
        yield "backlog", replace(base, scenario=Scenario.BACKLOG, orders=orders)
    for layout in LAYOUTS:
        yield "processes", replace(base, layout=layout)
    for skus in (each for each in SKUS if each <= at_most):
        yield "skus", replace(base, skus=skus)


async def growth(asked: Sequence[tuple[str, Run]], note: Note, measure: Measure = bench) -> dict[str, Any]:
    """The figures of these runs. Raises Failure when a promise is broken in one of them."""
    series: dict[str, list[Figures]] = {}
    first: Mapping[str, Any] = {}
    for name, run in asked:
        note(f"{name}: {run.scenario}, {run.layout}, {run.skus} skus")
        report = await measure(run, note)
        if broken := report["audit"]["broken"]:
            cause = f"Broken: {', '.join(each['id'] for each in broken)}."
            raise Failure(cause, f"Read the logs in {run.home}/log.", Exit.AUDIT_BROKEN)
        first = first or report
        series.setdefault(name, []).append({"began_at": report["began_at"], **point(name, report)})
    asked_first = {name: value for name, value in first["asked"].items() if name in {"orders", "clients", "warm_up"}}
    return {"began_at": first["began_at"], "machine": first["machine"], "asked": asked_first, "series": series}


def merged(known: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """New figures, and of those that were known the ones that were not measured again."""
    return {**new, "series": {**known.get("series", {}), **new["series"]}}


def point(name: str, report: Mapping[str, Any]) -> Figures:
    """One run: how much there was of what the cost is held against, and what an order took then."""
    last = report["phases"][-1]
    return {"at": _amount(name, report), **{kept: last[kept] for kept in KEPT}}


def _amount(name: str, report: Mapping[str, Any]) -> int:
    asked, phases = report["asked"], report["phases"]
    amounts: dict[str, int] = {
        "stored": asked["warm_up"] + _accepted(phases[:-1]),
        "backlog": _accepted(phases[:1]),
        "processes": sum(name.endswith((".api", ".worker")) for name in phases[-1]["cpu_us_per_order"]),
        "skus": asked["skus"],
    }
    return amounts[name]


def _accepted(phases: Sequence[Figures]) -> int:
    return sum(phase["accepted"] for phase in phases if "accepted" in phase)
