"""Options that several commands share, and how a person writes their values."""

import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin
from uuid import UUID

import typer
from typer.core import TyperArgument, TyperGroup

from ordermill.errors import ReaderLeft
from ordermill.services import SERVICES

ORDER = (
    "up", "down", "ps", "wait", "logs", "restart", "doctor", "backup", "restore", "reset", "run", "initdb", "upgrade",
    "downgrade", "migrate", "history", "topology", "secrets", "seed", "token", "users", "orders", "stock", "payments",
    "dead", "events", "demo", "record", "audit", "prove", "bench", "growth",
)  # fmt: skip
_VALUES = {bool: " ", str: "TEXT", int: "N", float: "N", Path: "PATH"}
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_SKU = re.compile(r"[A-Z0-9][A-Z0-9-]{0,63}")
_UNITS_OF_A_LINE = 999  # as in contracts.types, the import of which takes long (a test compares them)

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


def known(what: str, text: str, names: Iterable[str], option: str | None = None) -> str:
    """One of these names. Raises BadParameter, with all of them, for another; `option` where Typer cannot say which."""
    if text not in (there := list(names)):
        message = f"There is no {what} named {text}. Choose from: {', '.join(there) or 'none'}."
        raise typer.BadParameter(message, param_hint=option)
    return text


def service(text: str) -> str:
    """A service, by its name."""
    return known("service", text, SERVICES)


def service_option(what: str) -> Any:
    """`--service`; ``what`` is its help."""
    return typer.Option("--service", "-s", parser=service, metavar="NAME", help=what)


Service = Annotated[Any, service_option("Only of this service; of all by default.")]


def broker_nodes(text: str) -> int:
    """How many nodes the broker has: 1, 3 or 5. An even number outlives no more deaths than the odd one below it."""
    if text not in {"1", "3", "5"}:
        message = f"{text!r} is no number of nodes; write 1, 3 or 5, so that a majority outlives one or two of them."
        raise typer.BadParameter(message)
    return int(text)


BrokerNodes = Annotated[
    Any, typer.Option(parser=broker_nodes, metavar="1|3|5", help="How many nodes the RabbitMQ of that shop has.")
]


def line(text: str) -> dict[str, str | int]:
    """A line of an order: `MUG-RED:2`, or `MUG-RED` for one of it."""
    sku, _, amount = text.partition(":")
    if not _SKU.fullmatch(sku) or not re.fullmatch(r"[0-9]{0,18}", amount):
        message = f"{text!r} is no line; write SKU:QUANTITY, for example MUG-RED:2."
        raise typer.BadParameter(message)
    quantity = int(amount or 1)
    if not 1 <= quantity <= _UNITS_OF_A_LINE:
        message = f"{quantity} is no quantity; of a line 1 to {_UNITS_OF_A_LINE} are ordered."
        raise typer.BadParameter(message)
    return {"sku": sku, "quantity": quantity}


def moment(text: str) -> datetime:
    """A time: `2026-11-27T09:30Z`, without a zone in UTC, or a duration ago: `30m`."""
    try:
        return datetime.now(UTC) - timedelta(seconds=seconds(text))
    except typer.BadParameter:
        pass
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no time; write for example 2026-11-27T09:30Z, or 30m for half an hour ago."
        raise typer.BadParameter(message) from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


Since = Annotated[Any, typer.Option("--since", parser=moment, metavar="T", help="From then on: a time, or 30m ago.")]


def order_id(text: str) -> UUID:
    """An order, as clients see it or as it is stored."""
    return _id("ord", "order", text)


def parcel_id(text: str) -> UUID:
    """A parcel, as `record` shows it or as it is stored."""
    return _id("evt", "parcel", text)


def _id(prefix: str, what: str, text: str) -> UUID:
    from chassis.ids import parse_typeid

    try:
        return parse_typeid(prefix, text) if text.startswith(f"{prefix}_") else UUID(text)
    except ValueError:
        message = f"{text!r} is no {what}; write it like {prefix}_01m7xv52z2e5ptsd32m3cp17cd."
        raise typer.BadParameter(message) from None


class Program(TyperGroup):
    """All commands, as docs/operations.md has them. That nobody reads on is our own affair: Click would end with 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ReaderLeft from None
        except typer.BadParameter as refused:
            refused.message = _in_our_words(refused)
            raise

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order in which one comes to need them."""
        return sorted(super().list_commands(ctx), key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def get_params(self, ctx: Any) -> list[Any]:
        return _named(super().get_params(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        for each in [command, *getattr(command, "commands", {}).values()] if command else []:
            ask = each.get_params
            each.get_params = lambda ctx, ask=ask: _named(ask(ctx))
        return command


def _in_our_words(refused: typer.BadParameter) -> str:
    """Typer has pydantic read values, and passes on what that says to whoever writes a program."""
    from pydantic import ValidationError

    from chassis.words import wanted

    cause = refused.__cause__
    return wanted(cause.errors()[0]) if isinstance(cause, ValidationError) else refused.message


def _nothing(ctx: Any) -> None:
    """An argument is called by its name, and its help says the rest."""


def _named(params: list[Any]) -> list[Any]:
    """With values called as people call them: Typer shows the types of Python."""
    for param in params:
        kind = param.type_descriptor.annotation
        [kind] = get_args(kind) if get_origin(kind) is list else [kind]
        if isinstance(param, TyperArgument):
            param.display_type_rich = _nothing  # type: ignore[method-assign]
        elif kind in _VALUES:
            param.metavar = param.metavar or _VALUES[kind]
    return params


def _told(asked: bool) -> None:  # noqa: FBT001  Typer's signature
    if asked:
        from chassis.health import release

        sys.stdout.write(f"ordermill {release()}\n")
        raise typer.Exit


def program(
    *,
    _version: Annotated[bool, typer.Option("--version", callback=_told, is_eager=True, help="Say it and end.")] = False,
) -> None:
    """Run, look at and test the shop; start it with `ordermill up`."""
