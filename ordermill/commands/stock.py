"""`stock`: what is on the shelves, and putting it right."""

import asyncio
from typing import Annotated, Any, Literal

import typer

from ordermill.options import Key, Limit, Url
from ordermill.output import Form, Output
from ordermill.tables import Columns

Reason = Literal["received", "damaged", "counted", "returned", "correction"]
SHELVES: Columns = {
    "sku": "sku", "on_hand": "on_hand", "reserved": "reserved", "available": "available",
    "warehouses": lambda stock: " ".join(f"{level['warehouse']}:{level['available']}" for level in stock["warehouses"]),
    "low": lambda stock: " ".join(level["warehouse"] for level in stock["warehouses"] if level["low"]),
}  # fmt: skip
MOVEMENT: Columns = {
    name: name
    for name in ("id", "sku", "warehouse", "kind", "delta", "reserved_delta", "reason", "actor", "created_at")
}


def register(app: typer.Typer) -> None:
    stock = typer.Typer(help="List what is on the shelves, and put it right.", no_args_is_help=True)
    stock.command("list")(list_stock)
    # A negative number is a delta, not an option.
    stock.command("adjust", context_settings={"ignore_unknown_options": True})(adjust)
    app.add_typer(stock, name="stock")


def list_stock(
    *,
    low: Annotated[bool, typer.Option("--low", help="Only what has run low in some warehouse.")] = False,
    limit: Limit = 100,
    url: Url = None,
    form: Output = Form.TABLE,
) -> None:
    """List what is on hand, reserved and available."""
    from ordermill import client, tables

    looked_for = "products that have run low" if low else "products with stock"
    tables.show(form, client.ask_list(url, "staff", "/stock", limit, low=low or None), SHELVES, looked_for)


def adjust(  # noqa: PLR0913  each option is a parameter
    sku: Annotated[str, typer.Argument(help="What is counted, for example MUG-RED.")],
    delta: Annotated[int, typer.Argument(help="By how many units, for example 50 or -3.")],
    *,
    reason: Annotated[Reason, typer.Option(help="Why.")] = "correction",
    warehouse: Annotated[str, typer.Option(help="Where.")] = "main",
    key: Key = None,
    url: Url = None,
    form: Output = Form.TABLE,
) -> None:
    """Add units to a shelf or take them off; never below what is reserved."""
    from ordermill import tables

    body = {"delta": delta, "reason": reason, "warehouse": warehouse}
    tables.show_one(form, asyncio.run(_adjusted(url, sku, body, key)), MOVEMENT)


async def _adjusted(url: str | None, sku: str, body: dict[str, Any], key: str | None) -> Any:
    import secrets

    from ordermill.client import reach
    from ordermill.refusals import said

    async with reach(url) as gateway:
        staff = await gateway.as_("staff")
        return said(await staff.post(f"/stock/{sku}/adjustments", body, key=key or secrets.token_hex(16)))
