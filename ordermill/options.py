"""Options that several commands share, and how a person writes their values."""

import re
from typing import Annotated

import typer

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_SKU = re.compile(r"[A-Z0-9][A-Z0-9-]{0,63}")

Url = Annotated[str | None, typer.Option("--url", envvar="ORDERMILL_URL", help="Another gateway than this checkout's.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")]
Key = Annotated[str | None, typer.Option(help="The Idempotency-Key; a new one when it is left out.")]


def seconds(text: str) -> float:
    """A duration: `90`, `30s`, `5m`, `2h`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match or not float(match[1]):
        message = f"{text!r} is no duration; write for example 90, 30s, 5m or 2h."
        raise typer.BadParameter(message)
    return float(match[1]) * _UNITS[match[2]]


def line(text: str) -> dict[str, str | int]:
    """A line of an order: `MUG-RED:2`, or `MUG-RED` for one of it."""
    sku, _, quantity = text.partition(":")
    if not _SKU.fullmatch(sku) or not re.fullmatch(r"[1-9]\d{0,2}|", quantity):
        message = f"{text!r} is no line; write SKU:QUANTITY, for example MUG-RED:2."
        raise typer.BadParameter(message)
    return {"sku": sku, "quantity": int(quantity or 1)}
