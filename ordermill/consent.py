"""Before something is gone for good whoever asked for it is asked whether they mean it."""

import sys
from pathlib import Path

import typer

from ordermill.errors import Failure


def is_anybody_here() -> bool:
    """Whether a person is at the terminal that this process reads from."""
    return bool(sys.stdin) and sys.stdin.isatty()


def obtain(question: str, *, yes: bool) -> None:
    """Returns when a person, or ``--yes``, agrees. Raises Failure where nobody is at a terminal to be asked."""
    if yes:
        return
    if not is_anybody_here():
        unanswered = f"{question} Nobody is here to be asked."
        raise Failure(unanswered, "Say that you mean it: --yes")
    typer.confirm(question, abort=True, err=True)


def to_empty(folder: Path, *, yes: bool) -> None:
    """As ``obtain``, before all that the shop of a folder keeps is removed: ``reset`` and ``up --fresh``."""
    obtain(f"Remove all orders, stock and mails in {folder}?", yes=yes)
