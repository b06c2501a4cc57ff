"""The commands of `ordermill`, as its own parser knows them."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import typer.main

from ordermill import cli


@cache
def program() -> dict[str, Any]:
    """The commands by name, as in `orders list`; those that are not shown are left out."""
    return dict(_commands(typer.main.get_command(cli.build(cli.modules()))))


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} ")
        elif not command.hidden:
            yield before + name, command


def name_of(words: str) -> str | None:
    """The command that these words begin with."""
    return next((name for name in program() if f"{words} ".startswith(f"{name} ")), None)
