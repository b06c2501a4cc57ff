"""`token`: an access token to try the API with."""

import asyncio
import sys
from typing import Annotated

import typer

from ordermill.client import Role
from ordermill.options import Url


def register(app: typer.Typer) -> None:
    app.command()(token)


def token(
    role: Annotated[Role, typer.Option(help="Whose; a new customer each time, or the demo account.")] = "customer",
    url: Url = None,
) -> None:
    """Print the access token of a demo user; local profile only."""
    sys.stdout.write(f"{asyncio.run(_token(role, url))}\n")


async def _token(role: Role, url: str | None) -> str | None:
    from ordermill.client import reach

    async with reach(url) as gateway:
        return await (await gateway.demo(role)).token()
