"""`mailbox`: the process that takes the shop's mails on one machine; `up` starts it."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ordermill.errors import Exit, Failure
from ordermill.ports import HOST
from ordermill.told import variables


def register(app: typer.Typer) -> None:
    app.command(hidden=True)(mailbox)


def mailbox(
    smtp_port: Annotated[int, typer.Option(help="Where mails are taken.")],
    http_port: Annotated[int, typer.Option(help="Where mails are shown.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = HOST,
    folder: Annotated[Path, typer.Option(help="Where mails are kept.")] = Path(".ordermill/mailbox"),
) -> None:
    """Take mails over SMTP, show them at GET /messages to who has the key."""
    from ordermill.mailbox import serve

    told = variables()
    key, password = told.get("ORDERMILL_MAILBOX_KEY"), told.get("ORDERMILL_MAILBOX_PASSWORD")
    if not key:
        cause = "Nobody could read the mails: the mailbox was told no key."
        raise Failure(cause, "Set ORDERMILL_MAILBOX_KEY to a secret.", Exit.MISSING)
    asyncio.run(serve(folder, smtp_port, http_port, host, key=key, password=password))
