"""`prove`: hurts a shop of its own in every way while orders run, then asks for every promise."""

import asyncio
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordermill.errors import Exit, Failure
from ordermill.options import BrokerNodes, seconds
from ordermill.output import Form, Output, as_json

if TYPE_CHECKING:
    from ordermill.prove.report import Report


def register(app: typer.Typer) -> None:
    app.command()(prove)


def prove(  # noqa: PLR0913  each option is a parameter
    *,
    lasts: Annotated[Any, typer.Option("--seconds", parser=seconds, metavar="N", help="For how long.")] = "180",
    seed: Annotated[int | None, typer.Option(min=0, help="Which faults come when; another one each time.")] = None,
    clients: Annotated[int, typer.Option(min=1, max=200, help="Customers who order, one order after the other.")] = 20,
    home: Annotated[Path | None, typer.Option(help="Where the shop that is hurt keeps its state.")] = None,
    broker_nodes: BrokerNodes = "1",
    form: Output = Form.TABLE,
) -> None:
    """Kill, freeze, cut and poison a shop of its own while orders run; exit code 9 when a promise is broken."""
    from ordermill.prove.run import Run, prove
    from ordermill.state import default_root

    drawn = secrets.randbelow(1_000_000) if seed is None else seed
    run = Run(drawn, lasts, clients, home or default_root() / "prove", broker_nodes)
    _judge(asyncio.run(prove(run, _tell)), form, f" --broker-nodes {broker_nodes}" if broker_nodes > 1 else "")


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _judge(report: "Report", form: Form, more: str = "") -> None:
    from ordermill.prove.report import show

    if form is Form.JSON:
        as_json(report.as_json())
    else:
        show(report)
    again = f"ordermill prove --seconds {report.seconds:g} --seed {report.seed} --clients {report.clients}{more}"
    if not report.held:
        broken = ", ".join(each["id"] for each in report.broken) or "what clients were told"
        cause = f"Broken: {broken}."
        raise Failure(
            cause, f"Read the rows above and the logs in {report.home}/log; repeat: {again}", Exit.AUDIT_BROKEN
        )
    if short := report.short_of():
        cause = f"Every promise held, but {'; '.join(short)}."
        raise Failure(cause, f"Is the machine busy? Repeat it with: {again}", Exit.AUDIT_BROKEN)
    _tell(f"every promise held; the same faults again: {again}")
