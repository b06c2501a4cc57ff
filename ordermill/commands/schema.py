"""Schemas and topology: `migrate`, `upgrade`, `downgrade`, `initdb`, `history`, `topology`."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ordermill.options import service_option
from ordermill.services import chosen

if TYPE_CHECKING:
    from ordermill.state import State

OWNER = "Give its owner's address: ORDERMILL_DATABASE_URL"
_progress = Console(stderr=True)
OneService = Annotated[Any, service_option("Whose schema.")]
AnyService = Annotated[Any, service_option("Whose schema; all of them by default.")]


def _state() -> "State":
    from ordermill.state import State
    from ordermill.told import variables

    return State.open() if "ORDERMILL_DATABASE_URL" in variables() else State.attach()


def _run(work: Coroutine[Any, Any, object], done: str | None = None) -> None:
    """Does work and says that it is done, with what it returns unless there are words for it."""
    from ordermill import inside

    said = asyncio.run(inside.reaching(work, refused=OWNER, missing="Make it: ordermill initdb"))
    _progress.print(said if done is None else done)


async def _alembic(names: tuple[str, ...], action: str, **options: Any) -> None:
    from chassis.migrations import migrate as alembic
    from ordermill.services import load

    url = _state().database_url
    for name in names:
        await alembic(url, name, load(name).metadata, action, **options)


async def _upgraded(names: tuple[str, ...], revision: str) -> None:
    from ordermill import setup
    from ordermill.services import load

    for name in names:
        await setup.upgrade(_state().database_url, load(name), revision)
    if "order_service" in names and revision == "heads":
        await setup.fill_replica(_state())


async def _revised(service: str, message: str) -> str:
    """Writes the difference as the next revision; says what is to be done about it."""
    from chassis.migrations import head, migrate, next_revision
    from ordermill.services import load

    url, metadata, options = _state().database_url, load(service).metadata, {"rev_id": next_revision(service)}
    await migrate(url, service, metadata, "revision", message=message, autogenerate=True, **options)
    head.cache_clear()
    written = head(service) == options["rev_id"]
    return "Read it before you commit it." if written else "The tables are as the database has them: nothing to write."


async def _histories(names: tuple[str, ...]) -> None:
    for name in names:
        sys.stdout.write(f"{name}\n")
        await _alembic((name,), "history")


def migrate(
    message: Annotated[str, typer.Option("--message", "-m", help="What the revision does.")], service: OneService
) -> None:
    """Write a new revision from the difference between the tables in code and the running database."""
    _run(_revised(service, message))


def upgrade(service: AnyService = None, revision: Annotated[str, typer.Argument()] = "heads") -> None:
    """Bring schemas up to a revision."""
    _run(_upgraded(chosen(service), revision), "The schemas are up to date.")


def downgrade(
    service: OneService, revision: Annotated[str, typer.Argument(help="For example -1, or base.")] = "-1"
) -> None:
    """Take one service's schema back by a revision."""
    _run(_alembic((service,), "downgrade", revision=revision), "The schema is back.")


def history(service: AnyService = None) -> None:
    """List the revisions of each schema."""
    _run(_histories(chosen(service)), "")


def initdb() -> None:
    """Make roles and schemas, and bring every schema up to date. Safe to repeat."""
    from ordermill import setup

    _run(setup.prepare(_state(), _progress.print), "The database is ready.")


def topology() -> None:
    """Declare exchanges, queues and bindings. Safe to repeat; needs RabbitMQ's administrator."""
    from ordermill import setup

    _run(setup.topology(_state()), "The topology is declared.")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (migrate, upgrade, downgrade, history, initdb, topology):
        _add(app, command)


def _add(app: typer.Typer, command: Callable[..., None]) -> None:
    app.command()(command)
