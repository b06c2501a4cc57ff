"""How commands show data: a table for a person, JSON for a program; both on stdout."""

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

WIDEST = 10_000


class Form(StrEnum):
    """The forms that data is shown in."""

    TABLE = "table"
    JSON = "json"


Output = Annotated[Form, typer.Option("--output", "-o", help="table for a person, json for a program.")]


def as_json(data: Any) -> None:
    """Print data as JSON."""
    sys.stdout.write(json.dumps(data, indent=2, default=str) + "\n")


def as_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table; what is missing stays empty, and nothing is shortened: paths are there to be copied."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text("" if row.get(column) is None else str(row[column])) for column in columns))
    Console(file=sys.stdout, width=WIDEST, soft_wrap=True).print(table)
