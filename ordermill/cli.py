"""The command line. Data goes to stdout, progress to stderr; every error ends with the line that mends it.

Each module in `ordermill/commands` registers its commands; only the one that a command line needs is imported.
"""

import importlib
import os
import pkgutil
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ordermill import commands
from ordermill.called import as_called
from ordermill.errors import Exit, Failure, ReaderLeft

if TYPE_CHECKING:
    import typer

INTERRUPTED = 130
GROUPS = {
    "processes": ("ps", "wait", "restart", "down", "logs"),
    "backup": ("restore",),
    "machine": ("doctor", "reset"),
    "containers": ("secrets",),
    "schema": ("migrate", "upgrade", "downgrade", "initdb", "history", "topology"),
}
# Commands that work inside a service log on stderr: failures only, and never the values of variables.
QUIET = {"LOGURU_LEVEL": "WARNING", "LOGURU_DIAGNOSE": "NO"}
_CODES = {2: "wrong usage", INTERRUPTED: "Ctrl+C"} | {code.value: code.name.lower().replace("_", " ") for code in Exit}
EPILOG = "Exit codes: " + ", ".join(f"{code} {means}" for code, means in sorted(_CODES.items()))


def modules() -> list[str]:
    """The names of the command modules."""
    return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))


def needed(arguments: Iterable[str]) -> list[str]:
    """The modules that a command line needs: the one of its command when we know it, else all."""
    command = next(iter(arguments), "").replace("-", "_")
    group = next((group for group, names in GROUPS.items() if command in names), command)
    known = modules()
    return [group] if group in known else known


def build(names: Iterable[str]) -> "typer.Typer":
    """The application with the commands of these modules."""
    import typer

    from ordermill.options import Program, program

    app = typer.Typer(
        name="ordermill",
        cls=Program,
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(program)
    for name in names:
        importlib.import_module(f"ordermill.commands.{name}").register(app)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run one command; ends the process with its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        build(needed(given))(given, prog_name="ordermill")
    except Failure as failure:
        from ordermill.output import shown

        sys.stderr.write(shown(f"{failure.message}\n→ {as_called(failure.mend)}\n"))
        sys.exit(failure.code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ReaderLeft:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
