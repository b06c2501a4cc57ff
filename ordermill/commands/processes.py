"""`ps`, `wait`, `restart`, `down`, `logs`: what one does with a running shop from another terminal."""

import asyncio
import sys
from typing import Annotated, Any

import typer

from ordermill import control, output
from ordermill.errors import Exit, Failure
from ordermill.output import Form, Output
from ordermill.state import State

STOPS_WITHIN = 60.0
COLUMNS = ("name", "pid", "status", "restarts", "url")
Service = Annotated[str, typer.Argument(help="The name of a process, as `ps` shows it.")]


def register(app: typer.Typer) -> None:
    for command in (ps, wait, restart, down, logs):
        app.command()(command)


def ps(form: Output = Form.TABLE) -> None:
    """Show the running processes and where everything is."""
    _show(asyncio.run(control.ask(State.open(), "ps")), form)


def wait(timeout: Annotated[float, typer.Option(help="Seconds, then it ends with 7.")] = 120.0) -> None:
    """Wait until every process is ready; exit code 7 when that takes too long."""
    from ordermill.launch import wait_ready

    asyncio.run(wait_ready(State.open(), timeout))
    sys.stderr.write("everything is ready\n")


def restart(service: Service) -> None:
    """End a process in good order and wait until it is ready again."""
    asyncio.run(control.ask(State.open(), "restart", name=service))
    sys.stderr.write(f"{service} is ready again\n")


def down() -> None:
    """Stop the running shop; its data is kept."""
    asyncio.run(_down(State.open()))
    sys.stderr.write("stopped\n")


async def _down(state: State) -> None:
    await control.ask(state, "down")
    if not await control.until_stopped(state, STOPS_WITHIN):
        cause = "The shop does not stop."
        raise Failure(cause, "Look at: ordermill ps, then end the process of `up`", Exit.TIMED_OUT)


def logs(
    service: Annotated[str | None, typer.Argument(help="The name of a process; all when it is left out.")] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show what is written from now on, too.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines of each.")] = 100,
) -> None:
    """Show what the processes have written."""
    from ordermill import tail

    tail.show(State.open(), service, lines, follow=follow)


def _show(shop: dict[str, Any], form: Form) -> None:
    if form is Form.JSON:
        return output.as_json(shop)
    output.as_table(COLUMNS, shop["processes"])
    for name, where in shop.items():
        if isinstance(where, str):
            sys.stdout.write(f"{name:<13}{where}\n")
    return None
