"""`record`: who did what, from the tables that are only added to."""

import asyncio
from typing import Annotated, Any

import typer

from ordermill.options import Limit, Since
from ordermill.output import Form, Output

COLUMNS = {name: name for name in ("at", "service", "what", "actor", "about", "note")}

Actor = Annotated[list[str] | None, typer.Option("--actor", help="Only what they did: usr_…; may be repeated.")]


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


def record(
    *,
    since: Since = "24h",
    actor: Actor = None,
    about: About = None,
    limit: Limit = 50,
    form: Output = Form.TABLE,
) -> None:
    """Show who did what: sign-ins, refusals, roles, exports, refunds, cancellations, stock, retries and replays."""
    from ordermill import inside, tables
    from ordermill.record import read

    asked = read(inside.auditor_url(), since=since, actors=actor or [], about=about, limit=limit)
    items = asyncio.run(inside.reaching(asked, refused=inside.INITDB))
    tables.show(form, items, COLUMNS)
