"""`dead`: what is parked for a person, by cause; put back, or discarded."""

import asyncio
import dataclasses
import re
import sys
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from ordermill import consent
from ordermill.errors import Failure
from ordermill.options import Limit, Service, known, parcel_id
from ordermill.output import Form, Output

if TYPE_CHECKING:
    from ordermill.letters import Choice, Retried

INTERRUPTED = 130
GROUPS = {name: name for name in ("group", "service", "topic", "count", "attempts", "oldest", "newest", "cause")}
ITEMS = {name: name for name in ("id", "service", "topic", "order", "subject", "attempts", "since")} | {
    "cause": lambda item: item["cause"].partition("\n")[0]
}
ITEM = {name: name for name in ("id", "service", "state", "topic", "order", "subject", "attempts", "since", "group")}
ACTS = {name: name for name in ("at", "actor", "act", "cause", "note")}


def item(text: str) -> tuple[UUID, int | None]:
    """An item: `PARCEL:PLACE`, or `PARCEL` for all of its places."""
    match = re.fullmatch(r"([^:]+)(?::(-?\d+))?", text)
    try:
        return parcel_id(match[1] if match else ""), int(match[2]) if match and match[2] else None
    except typer.BadParameter:
        message = f"{text!r} is no item; `ordermill dead list --cause GROUP` shows their ids."
        raise typer.BadParameter(message) from None


Items = Annotated[list[Any] | None, typer.Argument(parser=item, metavar="ID", help="Items, by their ids.")]
Group = Annotated[str | None, typer.Option("--cause", metavar="GROUP", help="All of one group, by its name.")]


def register(app: typer.Typer) -> None:
    dead = typer.Typer(help="List, show, retry and discard what is parked for a person.", no_args_is_help=True)
    for name, command in (("list", list_parked), ("show", show), ("retry", retry), ("discard", discard)):
        dead.command(name)(command)
    app.add_typer(dead, name="dead")


def list_parked(
    *,
    cause: Group = None,
    waiting: Annotated[bool, typer.Option(help="What is still tried again by itself, instead.")] = False,
    service: Service = None,
    limit: Limit = 20,
    form: Output = Form.TABLE,
) -> None:
    """List what is parked, by cause; with --cause the items of one group."""
    from ordermill import inside, tables

    state, things = ("deferred", "events that wait for another try") if waiting else ("parked", "parked events")
    found, groups = asyncio.run(inside.reaching(_listed(service, cause, state, limit)))
    if cause:
        known("group", cause, groups, "--cause")
    tables.show(form, found, ITEMS if cause else GROUPS, tables.wanted(things, service=service))


def show(
    one: Annotated[Any, typer.Argument(parser=item, metavar="ID", help="An item, by its id.")],
    service: Service = None,
    form: Output = Form.TABLE,
) -> None:
    """Show one item: why it is here, what it says, and what was done about it."""
    from ordermill import inside

    _show_story(form, asyncio.run(inside.reaching(_story(service, *one))))


def _show_story(form: Form, told: dict[str, Any]) -> None:
    from chassis.logging import visible
    from ordermill import output, tables

    if form is Form.JSON:
        return output.as_json(told)
    for each in told["items"]:
        tables.show_one(form, each, ITEM)
        event = each["event"]
        said = visible(event) if isinstance(event, str) else output.in_json(event, indent=2)
        sys.stdout.write(f"\n{output.shown(each['cause'])}\n\n{said}\n\n")
    return tables.show(form, told["acts"], ACTS, "acts upon it")


def retry(  # noqa: PLR0913  each option is a parameter
    items: Items = None,
    *,
    cause: Group = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is parked.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until each is settled or parked again.")] = True,
    service: Service = None,
    form: Output = Form.TABLE,
) -> None:
    """Put items back for one more try by their service; Ctrl+C ends it, what was put back stays so."""
    from ordermill import inside, tables

    choice = _choice(items, cause, everything=everything)
    done, interrupted = asyncio.run(inside.reaching(_retried(service, choice, wait=wait)))
    counts = {"put_back": done.put_back, "settled": done.settled, "parked_again": done.parked_again}
    tables.show_one(form, counts | {"under_way": len(done.waiting)}, _COUNTS if wait else {"put back": "put_back"})
    if interrupted:
        sys.stderr.write("interrupted; the rest stays parked\n")
        raise typer.Exit(INTERRUPTED)
    if done.parked_again:
        failed = f"{done.parked_again} of {done.put_back} failed again and are parked."
        raise Failure(failed, "See why with: ordermill dead list")


_COUNTS = {name.replace("_", " "): name for name in ("put_back", "settled", "parked_again", "under_way")}


def discard(
    items: Items = None,
    *,
    note: Annotated[str, typer.Option(help="Why; it is kept with what is discarded.")],
    cause: Group = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    service: Service = None,
) -> None:
    """Give items up for good; what they said is kept with the note in the table of acts."""
    from ordermill import inside

    choice = _choice(items, cause)
    count = asyncio.run(inside.reaching(_counted(service, choice)))
    consent.obtain(f"Discard {count} for good?", yes=yes)
    sys.stderr.write(f"{asyncio.run(inside.reaching(_discarded(service, choice, note)))} discarded\n")


def _choice(items: list[Any] | None, cause: str | None, *, everything: bool = False) -> "Choice":
    from ordermill.letters import Choice

    if (bool(items) + bool(cause) + everything) != 1:
        message = "Name items, or a group with --cause, or all of them where that can be; and only one of these."
        raise typer.BadParameter(message)
    return Choice(tuple(items or ()), cause)


async def _listed(
    service: str | None, cause: str | None, state: str, limit: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """The groups, or the items of the one that was named; and the names of all groups."""
    from chassis.dead_letters import DeadLetters
    from ordermill import inside, letters

    groups: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    async with inside.databases(inside.settings(), service) as databases:
        for name, database in databases.items():
            grouped = map(dataclasses.asdict, await letters.groups(name, database, state))
            groups += ({"group": group.pop("name"), "service": name, **group} for group in grouped)
            if cause is not None:
                async with database.transaction(read_only=True) as tx:
                    page = await DeadLetters(name).page(tx, limit - len(items), group=cause, state=state)
                items += (letters.each(name, letter) for letter in page)
    groups.sort(key=lambda group: -group["count"])
    return groups[:limit] if cause is None else items, [group["group"] for group in groups]


async def _story(service: str | None, message_id: UUID, index: int | None) -> dict[str, Any]:
    from ordermill import inside, letters

    async with inside.databases(inside.settings(), service) as databases:
        told = await letters.story(databases, message_id, index)
    return told | {"acts": [dataclasses.asdict(act) for act in told["acts"]]}


async def _retried(service: str | None, choice: "Choice", *, wait: bool) -> "tuple[Retried, bool]":
    from ordermill import inside, letters, tables
    from ordermill.interrupts import ctrl_c

    stop = asyncio.Event()
    async with inside.databases(inside.settings(), service) as databases:
        total = await choice.count(databases)
        with ctrl_c(stop), tables.bar("retrying", total) as show:
            done = await letters.Retry(choice, inside.actor(), stop, show).run(databases, wait=wait)
    return done, stop.is_set()


async def _counted(service: str | None, choice: "Choice") -> int:
    from ordermill import inside

    async with inside.databases(inside.settings(), service) as databases:
        return await choice.count(databases)


async def _discarded(service: str | None, choice: "Choice", note: str) -> int:
    from ordermill import inside, letters

    async with inside.databases(inside.settings(), service) as databases:
        return await letters.discard(choice, databases, inside.actor(), note)
