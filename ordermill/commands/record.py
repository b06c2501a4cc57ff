"""`record`: who did what, from the tables that are only added to."""

import asyncio
from typing import Annotated, Any

import typer

from ordermill.options import Limit, Since, known
from ordermill.output import Form, Output

COLUMNS = {name: name for name in ("at", "service", "what", "actor", "about", "note")}


def what(text: str) -> str:
    """Something that is noted, by its name."""
    from ordermill.record import WHAT

    return known("act", text, WHAT)


Actor = Annotated[
    list[str] | None,
    typer.Option("--actor", metavar="ID", help="Only what they did: usr_…, or who is no user; may be repeated."),
]
Done = Annotated[
    list[Any] | None,
    typer.Option("--what", parser=what, metavar="WHAT", help="Only this, such as role_changed; may be repeated."),
]


def register(app: typer.Typer) -> None:
    app.command()(record)


def _thing(text: str) -> Any:
    """An id as it is shown."""
    from chassis.ids import parse_typeid

    try:
        return parse_typeid(text.rpartition("_")[0], text)
    except ValueError:
        message = f"{text!r} is no id; write it as it is shown, like usr_01m7xv52z2e5ptsd32m3cp17cd."
        raise typer.BadParameter(message) from None


About = Annotated[Any, typer.Option("--about", parser=_thing, metavar="ID", help="Only about this user or order.")]


def record(  # noqa: PLR0913  each option is a parameter
    *,
    since: Since = "24h",
    actor: Actor = None,
    about: About = None,
    what: Done = None,
    limit: Limit = 50,
    form: Output = Form.TABLE,
) -> None:
    """Show who did what: sign-ins, refusals, roles, exports, refunds, cancellations, stock, retries and replays."""
    from ordermill import inside, tables
    from ordermill.record import read

    url, named = inside.auditor_url(), actor or []
    asyncio.run(inside.reaching(_check(url, named), refused=inside.INITDB))
    asked = read(url, since=since, actors=named, about=about, what=what or [], limit=limit)
    items = asyncio.run(inside.reaching(asked, refused=inside.INITDB))
    tables.show(form, items, COLUMNS, tables.wanted("acts", since=since, actor=named, what=what, about=about))


async def _check(url: str, named: list[str]) -> None:
    """Raises BadParameter for a name that nobody has: it would find nothing, as if nothing had been done."""
    from ordermill.record import actors

    others = [each for each in named if not _is_user(each)]
    there = await actors(url) if others else []
    for each in others:
        known("actor", each, [*there, "usr_…"], "--actor")


def _is_user(text: str) -> bool:
    from chassis.ids import parse_typeid

    try:
        parse_typeid("usr", text)
    except ValueError:
        return False
    return True
