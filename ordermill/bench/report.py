"""What a run has shown, for people: what was measured, one column a phase, and what the audit says."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ordermill.output import rows

Report = Mapping[str, Any]
Figures = Mapping[str, Any]
NOISY = 0.1  # the share of the machine


def show(report: Report) -> None:
    """The whole report, on stdout."""
    width = max(len(name) for name, _ in _facts(report))
    for name, value in _facts(report):
        sys.stdout.write(f"{name:<{width}}  {value}\n")
    sys.stdout.write("\n")
    phases = report["phases"]
    rows([("", *(phase["name"] for phase in phases)), *_lines(phases)])
    for phase in phases:
        if phase.get("rates_by_tenth"):
            said = " ".join(f"{rate:.0f}" for rate in phase["rates_by_tenth"])
            sys.stdout.write(f"\n{phase['name']}, confirmed a second in each tenth: {said}\n")
    if report["growth"]:
        sys.stdout.write(f"\nan order costs {report['growth']:.2f} times what it costs in an empty shop\n")
    if beside := report["ratio"]:
        more, less = (_number(beside[name]) for name in ("orders_per_second", "cpu_per_order"))
        sys.stdout.write(
            f"\n{more} times the orders a second of {phases[-1]['name']}, for {less} times less CPU each\n"
        )
    if busy := [phase["name"] for phase in phases if phase["noise"].get("others", 0.0) > NOISY]:
        said = "other processes kept the machine busy, so rates are lower than they could be"
        sys.stdout.write(f"\n{said}: {', '.join(busy)}\n")
    _show_audit(report["audit"])


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    asked, machine, kept = report["asked"], report["machine"], report["durability"]
    yield "scenario", f"{asked['scenario']}, {asked['layout']}, {asked['skus']} skus, {asked['customers']} customers"
    load = " ".join(map(str, machine["load_average"]))
    yield "machine", f"{machine['cpus']} × {machine['model']}, {machine['memory_gb']} GB, load average {load}"
    yield "PostgreSQL", ", ".join(f"{name} {value}" for name, value in kept["postgres"].items())
    yield "RabbitMQ", ", ".join(f"{count} {kind} queues" for kind, count in Counter(kept["queues"].values()).items())
    yield "settings", ", ".join(f"{name}={value}" for name, value in asked["settings"].items())
    yield "limits", asked["limits"]
    if report["restarts"]:
        yield "CAME BACK MEANWHILE", _counted(report["restarts"])


def _lines(phases: Sequence[Figures]) -> Iterator[tuple[str, ...]]:
    for name, of in _MEASURES.items():
        if any(cells := [_cell(phase, of) for phase in phases]):
            yield name, *cells
    for title, key, unit in _GROUPS:
        for name in dict.fromkeys(name for phase in phases for name in phase.get(key) or ()):
            yield f"{title} {name}", *(_number((phase.get(key) or {}).get(name), unit) for phase in phases)


def _cell(phase: Figures, of: Callable[[Figures], Any]) -> str:
    try:
        value = of(phase)
    except (KeyError, TypeError):
        return ""
    return value if isinstance(value, str) else _number(value)


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    if unit == "%":
        return f"{value:.1%}"
    return f"{value:,.0f}{unit}" if abs(value) >= 100 else f"{value:.1f}{unit}"  # noqa: PLR2004 -- three digits say enough


def _spread(values: Mapping[str, float]) -> str:
    return " / ".join(_number(values[name]) for name in ("p50", "p95", "p99"))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


_MEASURES: Mapping[str, Callable[[Figures], Any]] = {
    "accepted": lambda phase: str(phase["accepted"]),
    "answers": lambda phase: _counted(phase["statuses"]),
    "cancellations": lambda phase: _counted(phase["cancels"]),
    "cut or unanswered": lambda phase: str(phase["cut"] + phase["unanswered"]),
    "outcome": lambda phase: _counted(phase["outcome"]),
    "seconds until settled": lambda phase: phase["seconds"]["settled"],
    "accepted a second": lambda phase: phase["accepted_per_second"],
    "confirmed a second": lambda phase: phase["confirmed_per_second"],
    "  from the first one on": lambda phase: phase["drained_per_second"],
    "POST, ms: p50 / p95 / p99": lambda phase: _spread(phase["post_ms"]),
    "accepted → confirmed, ms: p50 / p95 / p99": lambda phase: _spread(phase["accepted_to_confirmed_ms"]),
    "  of so many marked orders": lambda phase: str(phase["seen_confirmed"]),
    "CPU an order, µs": lambda phase: phase["cpu_us_per_order_total"],
}
_GROUPS = (
    ("  µs", "cpu_us_per_order", ""),
    ("an order:", "database_per_order", ""),
    ("items a transaction:", "batches", ""),
    ("machine:", "noise", "%"),
)


def _show_audit(audit: Mapping[str, Any]) -> None:
    sys.stdout.write(f"\naudit: {audit['promises']} promises, {len(audit['broken'])} broken\n")
    for broken in audit["broken"]:
        sys.stdout.write(f"\nBROKEN {broken['id']} by {broken['count']}: {broken['promise']}\n")
        for row in broken["rows"]:
            sys.stdout.write(f"  {json.dumps(row, default=str)}\n")
