"""`demo`: orders of every kind at a steady rate, with live counters."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordermill.options import Url, seconds
from ordermill.output import Form, Output

if TYPE_CHECKING:
    from rich.table import Table

    from ordermill.demo import Demo

COUNTERS_A_SECOND = 5


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    rate: Annotated[float, typer.Option(min=0.01, max=1000, help="Orders a second.")] = 5.0,
    lasts: Annotated[Any, typer.Option("--for", parser=seconds, metavar="T", help="How long: 30s, 5m, 2h.")] = "30s",
    url: Url = None,
    form: Output = Form.TABLE,
) -> None:
    """Place a mix of orders: paid, repeated, declined, cancelled, too many; Ctrl+C ends it earlier."""
    _report(form, asyncio.run(_run(url, rate, lasts)))


def _report(form: Form, done: "Demo") -> None:
    from ordermill import tables

    counts = dict(done.counts)
    tables.show_one(form, counts, {name.replace("_", " "): name for name in counts})
    if done.trouble:
        raise done.trouble


async def _run(url: str | None, rate: float, lasts: float) -> "Demo":
    from ordermill.client import reach
    from ordermill.demo import Demo
    from ordermill.interrupts import ctrl_c

    stop = asyncio.Event()
    async with reach(url) as gateway:
        demo = await Demo.of(gateway)
        sys.stderr.write(f"placing {rate:g} orders a second for {lasts:g} s; Ctrl+C ends it earlier\n")
        with ctrl_c(stop), _counters(demo):
            await demo.run(rate, lasts, stop)
    return demo


@contextmanager
def _counters(demo: "Demo") -> Iterator[None]:
    """Live counters, on a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    with Live(
        get_renderable=lambda: _table(demo), console=console, refresh_per_second=COUNTERS_A_SECOND, transient=True
    ):
        yield


def _table(demo: "Demo") -> "Table":
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for name, number in demo.counts:
        table.add_row(name.replace("_", " "), str(number))
    return table
