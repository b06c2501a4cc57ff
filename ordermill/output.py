"""How commands show data: a table for a person, JSON for a program; both on stdout."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

WIDEST = 10_000
_BETWEEN_BREAKS = re.compile(r"[^\t\n]+")
_LEFT_BY_JSON = {code: f"\\u{code:04x}" for code in (*range(127, 160), 0x2028, 0x2029)}


class Form(StrEnum):
    """The forms that data is shown in."""

    TABLE = "table"
    JSON = "json"


Output = Annotated[Form, typer.Option("--output", "-o", help="table for a person, json for a program.")]


def plain(value: Any) -> str:
    """A value as text: a time as 2026-01-31T09:30:00.123456Z, nothing as an empty one."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return str(value)


def as_json(data: Any) -> None:
    """Print data as JSON."""
    sys.stdout.write(in_json(data, indent=2) + "\n")


def in_json(data: Any, **form: Any) -> str:
    """Data as JSON that a terminal shows as well: JSON lets some control characters stand as they are."""
    return json.dumps(data, default=plain, **form).translate(_LEFT_BY_JSON)


def shown(text: str) -> str:
    """A text of several lines, parts of which others chose, with all other control characters but tabs spelled out."""
    from chassis.logging import visible

    return _BETWEEN_BREAKS.sub(lambda part: visible(part[0]), text)


def as_table(columns: Sequence[str], items: Sequence[Mapping[str, Any]]) -> None:
    """Print items as a table; what is missing stays empty."""
    rows((columns, *([plain(item.get(name)) for name in columns] for item in items)))


def rows(lines: Iterable[Iterable[str]]) -> None:
    """Print a table, the first line of which names the columns; nothing is shortened: it is there to be copied.

    Customers say what they are called: that writes no rows of its own and does not move the operator's cursor.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from chassis.logging import visible

    names, *cells = lines
    table = Table(*names, box=None, pad_edge=False, header_style="bold")
    for row in cells:
        table.add_row(*(Text(visible(cell)) for cell in row))
    console = Console(file=sys.stdout, width=WIDEST, soft_wrap=True)
    with console.capture() as printed:
        console.print(table)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in printed.get().splitlines())
