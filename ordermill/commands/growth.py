"""`growth`: what an order costs as the shop grows, for the plots of docs/performance.md."""

import asyncio
import json
import sys
from enum import StrEnum, auto
from pathlib import Path
from typing import Annotated, Any

import typer

from ordermill.options import seconds
from ordermill.output import Form, Output, as_json, rows
from ordermill.state import default_root

LARGEST = 1_000_000


class Things(StrEnum):
    """What a cost can be held against."""

    STORED = auto()
    BACKLOG = auto()
    PROCESSES = auto()
    SKUS = auto()


def register(app: typer.Typer) -> None:
    app.command()(growth)


Orders = Annotated[int, typer.Option(min=10, help="Orders of which the cost is measured each time.")]
Clients = Annotated[int, typer.Option(min=1, max=240, help="Each orders again as soon as it is answered.")]
Against = Annotated[Things | None, typer.Option(help="Only against this; against all by default.")]
AtMost = Annotated[int, typer.Option(min=1_000, help="No shop with more orders, backlog or skus than that.")]
Patience = Annotated[Any, typer.Option(parser=seconds, metavar="TIME", help="For how long nothing may move.")]
Home = Annotated[Path | None, typer.Option(help="Where the measured shops keep their state.")]
Into = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Keeps the figures there, beside those of other things.")
]


def growth(  # noqa: PLR0913  each option is a parameter
    *,
    against: Against = None,
    at_most: AtMost = LARGEST,
    orders: Orders = 20_000,
    clients: Clients = 64,
    patience: Patience = "60s",
    home: Home = None,
    into: Into = None,
    form: Output = Form.TABLE,
) -> None:
    """Measure the cost of an order against orders stored, backlog, processes and skus, each in a fresh shop."""
    from ordermill.bench.growth import growth as measure
    from ordermill.bench.growth import runs
    from ordermill.bench.run import Run

    base = Run(home or default_root() / "bench", orders=orders, clients=clients, patience=patience)
    asked = [(name, run) for name, run in runs(base, at_most) if against in {None, name}]
    report = asyncio.run(measure(asked, _tell))
    if into:
        _keep(into, report)
    if form is Form.JSON:
        as_json(report)
    else:
        _show(report["series"])


def _keep(file: Path, report: dict[str, Any]) -> None:
    from ordermill.bench.growth import merged

    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(merged(known, report), indent=1, default=str) + "\n")


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _show(series: dict[str, list[dict[str, Any]]]) -> None:

    cells = [
        (name, f"{point['at']:,}", f"{point['cpu_us_per_order_total']:,.0f}", f"{point['confirmed_per_second']:,.0f}")
        for name, points in series.items()
        for point in points
    ]
    rows([("against", "", "CPU an order, µs", "confirmed a second"), *cells])
