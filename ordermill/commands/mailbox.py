"""`mailbox`: the process that takes the shop's mails on one machine; `up` starts it."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command(hidden=True)(mailbox)


def mailbox(
    smtp_port: Annotated[int, typer.Option(help="Where mails are taken.")],
    http_port: Annotated[int, typer.Option(help="Where mails are shown.")],
    folder: Annotated[Path, typer.Option(help="Where mails are kept.")] = Path(".ordermill/mailbox"),
) -> None:
    """Take mails over SMTP, show them at GET /messages."""
    from ordermill.mailbox import serve

    asyncio.run(serve(folder, smtp_port, http_port))
