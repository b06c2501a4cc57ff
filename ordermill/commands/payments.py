"""`payments`: where the money is, and the tokens that stand for cards of every kind."""

import asyncio
from typing import Annotated, Any

import typer

from ordermill.options import Limit, Url
from ordermill.output import Form, Output
from ordermill.tables import Columns, money

PAYMENTS: Columns = {
    "id": "id", "order": "order_id", "status": "status",
    "captured": lambda payment: money(payment["captured_total"]),
    "refunded": lambda payment: money(payment["refunded_total"]),
    "attempts": "attempt",
    "failure": lambda payment: payment["failure"] and payment["failure"]["code"],
    "unresolved": "unresolved", "created_at": "created_at",
}  # fmt: skip
TOKENS: Columns = {name: name for name in ("token", "outcome", "code", "description")}


def register(app: typer.Typer) -> None:
    payments = typer.Typer(help="List payments, and the test tokens that pay.", no_args_is_help=True)
    payments.command("list")(list_payments)
    payments.command("tokens")(list_tokens)
    app.add_typer(payments, name="payments")


def list_payments(
    order: Annotated[list[str] | None, typer.Option(help="Only of this order; may be repeated.")] = None,
    status: Annotated[list[str] | None, typer.Option(help="Only with this status; may be repeated.")] = None,
    limit: Limit = 20,
    url: Url = None,
    form: Output = Form.TABLE,
) -> None:
    """List payments, the newest first."""
    from ordermill import client, tables

    wanted = {"order_id": order, "status": status}
    found = client.ask_list(url, "staff", "/payments", limit, **wanted)
    tables.show(form, found, PAYMENTS, tables.wanted("payments", order=order, status=status))


def list_tokens(url: Url = None, form: Output = Form.TABLE) -> None:
    """List the test tokens of the simulated provider, and what each of them does."""
    from ordermill import tables

    tables.show(form, asyncio.run(_tokens(url)), TOKENS, "test tokens")


async def _tokens(url: str | None) -> list[dict[str, Any]]:
    from ordermill.client import reach

    async with reach(url) as gateway:
        answer = await gateway.nobody().get("/payments/test-tokens")
        tokens: list[dict[str, Any]] = answer["data"]
        return tokens
