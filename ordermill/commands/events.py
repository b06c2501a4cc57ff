"""`events`: the services' event logs, read as one, exported, and told again."""

import asyncio
import sys
from contextlib import aclosing
from datetime import datetime, timedelta
from enum import StrEnum, auto
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from ordermill.errors import Failure
from ordermill.options import Service, Since, known, moment, order_id, parcel_id
from ordermill.options import service as service_named
from ordermill.output import Form, Output, in_json

if TYPE_CHECKING:
    from chassis.event_log import Selection
    from ordermill.event_stream import Databases

INTERRUPTED = 130
UUID_WITH_TIME = 7


def topic(text: str) -> str:
    """A topic, by its name."""
    from contracts.catalogue import EVENTS

    return known("topic", text, sorted(EVENTS))


Topics = Annotated[
    list[Any] | None,
    typer.Option("--topic", parser=topic, metavar="TOPIC", help="Only of this topic; may be repeated."),
]
Order = Annotated[Any, typer.Option("--order", parser=order_id, metavar="ORDER", help="Only about this order.")]
Until = Annotated[Any, typer.Option("--until", parser=moment, metavar="T", help="Before then: a time, or 30m ago.")]
Note = Annotated[str, typer.Option(help="Why; it is kept in the table of acts.")]


class Thing(StrEnum):
    """What can be told anew."""

    PRODUCTS = auto()


def register(app: typer.Typer) -> None:
    events = typer.Typer(help="Read, export and tell again what the services have told.", no_args_is_help=True)
    for command in (tail, export, replay, republish):
        events.command()(command)
    app.add_typer(events, name="events")


def tail(  # noqa: PLR0913  each option is a parameter
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more is told.")] = False,
    topic: Topics = None,
    order: Order = None,
    service: Service = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="How many of the last events.")] = 20,
    form: Output = Form.TABLE,
) -> None:
    """Show the last events of all services in the order of time, one a line, with ids as the API has them."""
    from ordermill import inside

    asyncio.run(inside.reaching(_tailed(service, _selection(topic, order), limit, form, follow=follow)))


def export(  # noqa: PLR0913  each option is a parameter
    *,
    since: Since = None,
    until: Until = None,
    topic: Topics = None,
    order: Order = None,
    service: Service = None,
    api_ids: Annotated[bool, typer.Option("--api-ids", help="With ids as the API has them: ord_… for a UUID.")] = False,
) -> None:
    """Write the events as CloudEvents, as they were told, a JSON object a line, the oldest first."""
    from ordermill import inside

    selection = _selection(topic, order, since=since, until=until)
    asyncio.run(inside.reaching(_exported(service, selection, api_ids=api_ids)))


def replay(  # noqa: PLR0913  each option is a parameter
    parcels: Annotated[
        list[Any] | None, typer.Argument(parser=parcel_id, metavar="PARCEL", help="Only these parcels.")
    ] = None,
    *,
    to: Annotated[Any, typer.Option(parser=service_named, metavar="NAME", help="The service that is to hear them.")],
    since: Since = None,
    until: Until = None,
    topic: Topics = None,
    order: Order = None,
    handled: Annotated[bool, typer.Option(help="Also what it has handled; it will ignore it.")] = False,
    note: Note = "",
) -> None:
    """Tell recorded parcels again, those that a service has not handled; others who hear them ignore them."""
    from ordermill import inside

    selection = _selection(topic, order, since=since, until=until, parcels=parcels)
    told, interrupted = asyncio.run(inside.reaching(_replayed(to, selection, note, handled=handled)))
    sys.stderr.write(f"{told} parcels are told again\n")
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def republish(what: Annotated[Thing, typer.Argument(help="What is told anew, as it is now.")], note: Note = "") -> None:
    """Tell every product again as it is now; whoever knows a version as new ignores it."""
    from ordermill import inside

    told, interrupted = asyncio.run(inside.reaching(_republished(note)))
    sys.stderr.write(f"{told} {what} are told again\n")
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def _selection(topics: list[str] | None, order: UUID | None, **given: Any) -> "Selection":
    from chassis.event_log import Selection

    since = given.pop("since", None) or _age(order)
    return Selection(topics=topics, subject=str(order) if order else None, since=since, **given)


def _age(order: UUID | None) -> datetime | None:
    """When an order was placed, as its id says, and a little earlier: nothing is told about it before."""
    if order is None or order.version != UUID_WITH_TIME:
        return None
    from chassis.ids import made_at

    return made_at(order) - timedelta(minutes=5)


def _line(form: Form, event: dict[str, Any]) -> None:
    from chassis.logging import visible

    if form is Form.JSON:
        text = in_json(event, ensure_ascii=False)
    else:
        data = dict(event["data"])
        about = data.pop("order_id", event["subject"])
        said = in_json(data, ensure_ascii=False)
        text = visible(f"{event['time']}  {event['source'][1:]:<20}  {event['type']:<28}  {about}  {said}")
    sys.stdout.write(f"{text}\n")


async def _tailed(service: str | None, selection: "Selection", number: int, form: Form, *, follow: bool) -> None:
    from ordermill import inside
    from ordermill.event_stream import Follower, as_clients_see, newest

    async with inside.databases(inside.settings(), service) as databases:
        follower = Follower(databases, selection)
        await follower.start()
        last = await newest(databases, selection, number)
        for event in last:
            _line(form, as_clients_see(event))
        sys.stdout.flush()
        if number and not last:
            _say_none(selection)
        if follow:
            async for event in follower.events():
                _line(form, as_clients_see(event))
                sys.stdout.flush()


def _say_none(selection: "Selection") -> None:
    from chassis.ids import typeid
    from ordermill.tables import wanted

    if selection.subject:
        filters: dict[str, Any] = {"order": typeid("ord", UUID(selection.subject))}
    else:
        filters = {"since": selection.since, "until": selection.until}
    sys.stderr.write(f"there are no {wanted('events', topic=selection.topics, **filters)}\n")


async def _exported(service: str | None, selection: "Selection", *, api_ids: bool) -> None:
    from ordermill import inside
    from ordermill.event_stream import as_clients_see, exported

    event = None
    async with inside.databases(inside.settings(), service) as databases:
        async for event in exported(databases, selection):
            _line(Form.JSON, as_clients_see(event) if api_ids else event)
    if event is None:
        _say_none(selection)


async def _replayed(to: str, selection: "Selection", note: str, *, handled: bool) -> tuple[int, bool]:
    from dataclasses import replace

    from chassis.acts import Why
    from ordermill import inside, retelling
    from ordermill.services import load

    heard = load(to).decisions.topics
    if strangers := sorted({*(selection.topics or ())} - {*heard}):
        message = f"{to} does not listen to {strangers[0]}."
        raise Failure(message, f"It listens to: {', '.join(heard) or 'nothing'}")
    selection = replace(selection, topics=selection.topics or heard)
    why = Why(inside.actor(), f"to {to}", note)
    async with inside.databases(inside.settings()) as databases:
        listener = to, _of(databases, to)
        return await _counted(retelling.tell_again(databases, listener, selection, why, handled=handled))


def _of(databases: "Databases", service: str) -> Any:
    if service not in databases:
        cause = f"No setting says where the database of {service} is."
        raise Failure(cause, f"Set ORDERMILL_{service.upper()}_DATABASE_URL")
    return databases[service]


async def _republished(note: str) -> tuple[int, bool]:
    from inventory_service.catalogue import republish_products
    from ordermill import inside
    from ordermill.seeds import at_work

    async with at_work("inventory_service", inside.settings()) as parts:
        return await _counted(republish_products(parts, inside.actor(), note))


async def _counted(pages: Any) -> tuple[int, bool]:
    """The last count of what is told page by page, and whether Ctrl+C ended it between two pages."""
    from ordermill.interrupts import ctrl_c

    stop, count = asyncio.Event(), 0
    with ctrl_c(stop):
        async with aclosing(pages):
            async for count in pages:  # noqa: B007  the last of them is what is wanted
                if stop.is_set():
                    break
    return count, stop.is_set()
