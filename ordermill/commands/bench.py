"""`bench`: throughput, latency and cost of a shop of its own, under load that comes as clients' does."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ordermill.bench.scenarios import Scenario
from ordermill.errors import Exit, Failure
from ordermill.options import BrokerNodes, seconds
from ordermill.output import Form, Output, as_json
from ordermill.state import Layout, default_root

HALF = "half"


def register(app: typer.Typer) -> None:
    app.command()(bench)


def rate(text: str) -> float | str:
    """Orders a second: `900`, or `half`."""
    try:
        return HALF if text == HALF else float(text)
    except ValueError:
        message = f"{text!r} is no rate; write orders a second, for example 900, or half."
        raise typer.BadParameter(message) from None


Chosen = Annotated[Scenario, typer.Option(help="What is done to the shop.")]
Orders = Annotated[int | None, typer.Option(min=10, help="Orders a phase; 20000, of a backlog 100000.")]
Clients = Annotated[int, typer.Option(min=1, max=240, help="Each orders again as soon as it is answered.")]
Rate = Annotated[
    Any,
    typer.Option("--rate", parser=rate, metavar="N|half", help="Orders a second; 0: as many as are answered."),
]
Skus = Annotated[int, typer.Option(min=2, help="How many products are on sale.")]
Customers = Annotated[int, typer.Option(min=1, help="How many accounts order.")]
Stored = Annotated[int, typer.Option(min=100, help="Of scenario million: how many orders are stored before.")]
Processes = Annotated[Layout, typer.Option("--layout", help="Three processes for all services, or two a service.")]
Folder = Annotated[
    Path | None, typer.Option("--beside", metavar="FOLDER", help="Another way to take the same orders, measured too.")
]
BesideOrders = Annotated[int, typer.Option(min=10, help="How many orders take that way.")]
Patience = Annotated[Any, typer.Option(parser=seconds, metavar="TIME", help="For how long nothing may move: 60s, 5m.")]
Home = Annotated[Path | None, typer.Option(help="Where the measured shop keeps its state.")]


def bench(  # noqa: PLR0913  each option is a parameter
    *,
    scenario: Chosen = Scenario.NORMAL,
    orders: Orders = None,
    clients: Clients = 64,
    at: Rate = "0",
    skus: Skus = 2_000,
    customers: Customers = 50,
    stored: Stored = 1_000_000,
    layout: Processes = "packed",
    broker_nodes: BrokerNodes = "1",
    beside: Folder = None,
    beside_orders: BesideOrders = 2_000,
    patience: Patience = "60s",
    home: Home = None,
    form: Output = Form.TABLE,
) -> None:
    """Measure a fresh shop of its own; it ends when every order has settled and the audit finds nothing (else: 9)."""
    from ordermill.bench import beside as other
    from ordermill.bench import run

    asked = run.Run(
        home=home or default_root() / "bench", scenario=scenario, layout=layout,
        orders=orders or (100_000 if scenario is Scenario.BACKLOG else 20_000), clients=clients,
        rate=0.0 if at == HALF else at, half=at == HALF, skus=skus, customers=customers, stored=stored,
        patience=patience, beside=other.Beside(beside.resolve(), beside_orders, clients, patience) if beside else None,
        broker_nodes=broker_nodes,
    )  # fmt: skip
    _judge(asyncio.run(run.bench(asked, _tell)), form)


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _judge(report: dict[str, Any], form: Form) -> None:
    from ordermill.bench.report import show

    if form is Form.JSON:
        as_json(report)
    else:
        show(report)
    if broken := report["audit"]["broken"]:
        cause = f"Broken: {', '.join(each['id'] for each in broken)}."
        mend = f"Read the rows above and the logs in {report['asked']['home']}/log."
        raise Failure(cause, mend, Exit.AUDIT_BROKEN)
