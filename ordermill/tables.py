"""What the shop answered: for people tables whose ids are never cut, not even in a pipe; for programs JSON."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ordermill.output import Form, as_json, plain, rows

Item = Mapping[str, Any]
Columns = Mapping[str, str | Callable[[Item], Any]]

# ISO 4217: the currencies that do not have two decimals, as notification_service writes them (a test compares).
_DECIMALS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV"), 0),
    **dict.fromkeys(("XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


def money(value: Item | None) -> str:
    """An amount for people: ``{"amount": 129900, "currency": "EUR"}`` is ``1,299.00 EUR``."""
    if value is None:
        return ""
    digits = _DECIMALS.get(value["currency"], 2)
    return f"{value['amount'] / 10**digits:,.{digits}f} {value['currency']}"


def show(form: Form, items: Sequence[Item], columns: Columns, looked_for: str) -> None:
    """Items as a table with these columns, each a field's name or what to make of the item; or all of them as JSON.

    A person who finds none is told what was looked for.
    """
    if form is Form.JSON:
        as_json(items)
    elif items:
        rows((columns, *([_cell(item, column) for column in columns.values()] for item in items)))
    else:
        sys.stderr.write(f"there are no {looked_for}\n")


def wanted(things: str, **filters: Any) -> str:
    """What is looked for: things with these filters, as far as there are any: ``orders (status confirmed)``."""
    given = [f"{name} {' or '.join(map(plain, _several(value)))}" for name, value in filters.items() if value]
    return f"{things} ({', '.join(given)})" if given else things


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def show_one(form: Form, item: Item, fields: Columns) -> None:
    """One item with a line a field, without the fields that are empty; or as JSON."""
    from chassis.logging import visible

    if form is Form.JSON:
        return as_json(item)
    width = max(map(len, fields))
    for name, field in fields.items():
        if value := _cell(item, field):
            sys.stdout.write(f"{name:<{width}}  {visible(value)}\n")
    return None


def _cell(item: Item, column: str | Callable[[Item], Any]) -> str:
    return plain(item[column] if isinstance(column, str) else column(item))


@contextmanager
def bar(text: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows on a terminal how much of the total is done, which it is told again and again; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(text, total=total)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """Shows on a terminal that something takes its time; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield
