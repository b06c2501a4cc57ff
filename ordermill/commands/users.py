"""`users`: who has an account, and the first administrator."""

import asyncio
import sys
from typing import Annotated

import typer

from ordermill.errors import Failure
from ordermill.options import Limit, Url
from ordermill.output import Form, Output

COLUMNS = {
    "id": "id", "email": "email", "role": "role", "full_name": "full_name",
    "disabled": "disabled", "created_at": "created_at",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    users = typer.Typer(help="List accounts, and create the first administrator.", no_args_is_help=True)
    users.command("list")(list_users)
    users.command("create-admin")(create_admin)
    app.add_typer(users, name="users")


def list_users(
    role: Annotated[list[str] | None, typer.Option(help="Only with this role; may be repeated.")] = None,
    limit: Limit = 20,
    url: Url = None,
    form: Output = Form.TABLE,
) -> None:
    """List accounts, the newest first."""
    from ordermill import client, tables

    found = client.ask_list(url, "admin", "/users", limit, role=role)
    tables.show(form, found, COLUMNS, tables.wanted("accounts", role=role))


def create_admin(email: Annotated[str, typer.Argument(help="The address of the new account.")]) -> None:
    """Create an account that may do everything; asks for its password, or reads it from a pipe."""
    from ordermill import inside

    told = inside.settings()
    asyncio.run(inside.create_admin(told, email, _password()))
    sys.stderr.write(f"{email} may now sign in\n")


def _password() -> str:
    if not sys.stdin.isatty():
        if not (line := sys.stdin.readline()):
            cause = "No password came, and nobody is here to be asked."
            raise Failure(cause, "Pipe it: printf '%s\\n' \"$PASSWORD\" | ordermill users create-admin EMAIL")
        return line.rstrip("\r\n")
    given: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return given
