"""`up`: starts the whole shop of this checkout and keeps it running."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ordermill.options import broker_nodes as number_of_nodes

if TYPE_CHECKING:
    from ordermill.state import State


def register(app: typer.Typer) -> None:
    app.command()(up)


Archive = Annotated[
    str | None,
    typer.Option(
        envvar="ORDERMILL_ARCHIVE",
        metavar="FOLDER|off",
        help="Keep the database's whole log there, from now on at each start, so that any moment can be restored.",
    ),
]
BrokerNodes = Annotated[
    Any,
    typer.Option(
        parser=number_of_nodes,
        metavar="1|3|5",
        help="How many nodes RabbitMQ has, from now on at each start; 1 when it was never said.",
    ),
]


def up(  # noqa: PLR0913  each option is a parameter
    *,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when ready; end it with `down`.")] = False,
    layout: Annotated[
        Literal["packed", "split"], typer.Option(help="Three processes for all services, or two a service.")
    ] = "packed",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The gateway's port; 8000 or a free one when it is taken.")
    ] = None,
    archive: Archive = None,
    broker_nodes: BrokerNodes = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove what the shop keeps, as `reset` does.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask what --fresh asks.")] = False,
) -> None:
    """Start PostgreSQL, RabbitMQ, the mailbox and every service; Ctrl+C stops it all."""
    from ordermill import launch
    from ordermill.state import State

    state = State.open(layout=layout)
    if fresh:
        _empty(state, yes=yes)
    if detach:
        launch.detached(state, port, *_passed_on(archive=archive, broker_nodes=broker_nodes))
    else:
        asyncio.run(launch.up(state, port, archive=archive, broker_nodes=broker_nodes))


def _empty(state: "State", *, yes: bool) -> None:
    """Before the start, in this process: one in the background has no terminal to ask at."""
    from ordermill import consent, launch

    with state.lock():
        consent.to_empty(state.root, yes=yes)
        launch.forget(state)
    launch.tell("removed all orders, stock and mails: the shop begins empty")


def _passed_on(*, archive: str | None, broker_nodes: int | None) -> list[str]:
    given = {"--archive": archive, "--broker-nodes": broker_nodes}
    return [word for option, value in given.items() if value for word in (option, str(value))]
