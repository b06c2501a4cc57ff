"""`orders`: list, show, create, cancel, and trace one through all services."""

import asyncio
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordermill.numbers import id_of
from ordermill.options import Key, Limit, Url, line
from ordermill.output import Form, Output
from ordermill.refusals import Trouble, said
from ordermill.tables import Columns, money

if TYPE_CHECKING:
    from ordermill.client import Caller
    from ordermill.trace import Step

PAYABLE = ("pending", "awaiting_payment")
UNPAID = """it waits for its payment, for half an hour
→ Order with --token, or: POST /api/v1/orders/{id}/payments {{"token": "tok_ok"}}
"""
UNKNOWN = """the payment provider knows no token {token}, and declines it
→ See those that it knows with: ordermill payments tokens
"""
OrderId = Annotated[str, typer.Argument(metavar="ORDER", help="Its id, ord_…, or the number of a recent one.")]

ORDERS: Columns = {
    "id": "id", "number": "number", "status": "status", "payment": "payment_status",
    "fulfilment": "fulfilment_status", "total": lambda order: money(order["total"]), "created_at": "created_at",
}  # fmt: skip
ORDER: Columns = {
    **ORDERS,
    "lines": lambda order: ", ".join(f"{each['quantity']} × {each['sku']}" for each in order["lines"]),
    "refunded": lambda order: money(order["refunded_total"]) if order["refunded_total"]["amount"] else None,
    "failure": lambda order: order["failure"] and f"{order['failure']['code']}: {order['failure']['message']}",
    "cancelled as": "cancel_reason",
    "pay by": lambda order: order["pay_by"] if order["status"] in PAYABLE else None,
    "customer": "customer_id",
    "trace id": "trace_id",
}


def register(app: typer.Typer) -> None:
    orders = typer.Typer(help="List, show, place, cancel and trace orders.", no_args_is_help=True)
    for name, command in (("list", list_orders), ("show", show), ("create", create), ("cancel", cancel)):
        orders.command(name)(command)
    orders.command()(trace)
    app.add_typer(orders, name="orders")


def list_orders(
    status: Annotated[list[str] | None, typer.Option(help="Only with this status; may be repeated.")] = None,
    customer: Annotated[list[str] | None, typer.Option(help="Only of this customer; may be repeated.")] = None,
    limit: Limit = 20,
    url: Url = None,
    form: Output = Form.TABLE,
) -> None:
    """List orders, the newest first."""
    from ordermill import client, tables

    wanted = {"status": status, "customer_id": customer}
    found = client.ask_list(url, "staff", "/orders", limit, **wanted)
    tables.show(form, found, ORDERS, tables.wanted("orders", status=status, customer=customer))


def show(order: OrderId, url: Url = None, form: Output = Form.TABLE) -> None:
    """Show one order."""
    from ordermill import tables

    tables.show_one(form, asyncio.run(_shown(url, order)), ORDER)


def create(  # noqa: PLR0913  each option is a parameter
    *,
    sku: Annotated[list[Any], typer.Option(parser=line, metavar="SKU:QUANTITY", help="A line; may be repeated.")],
    token: Annotated[str | None, typer.Option(help="How to pay: `ordermill payments tokens` lists them.")] = None,
    wait: Annotated[int, typer.Option(min=0, max=30, help="Seconds to wait for the outcome.")] = 0,
    key: Key = None,
    url: Url = None,
    form: Output = Form.TABLE,
) -> None:
    """Place an order, as a new demo customer or as the owner of ORDERMILL_TOKEN."""
    from ordermill import tables

    order, is_known = asyncio.run(_created(url, sku, token, wait, key))
    tables.show_one(form, order, ORDER)
    if not is_known:
        sys.stderr.write(UNKNOWN.format(token=token))
    if not token and order["payment_status"] == "pending":
        sys.stderr.write(UNPAID.format(**order))


def cancel(order: OrderId, url: Url = None, form: Output = Form.TABLE) -> None:
    """Ask to cancel an order; stock and money go back in a moment."""
    from ordermill import tables

    tables.show_one(form, asyncio.run(_cancelled(url, order)), ORDER)


def trace(order: OrderId, url: Url = None, form: Output = Form.TABLE) -> None:
    """Show all that happened to an order in every service, on one timeline."""
    _show_story(form, *asyncio.run(_traced(url, order)))


def _show_story(form: Form, order: Any, steps: "list[Step]") -> None:
    from ordermill import output, tables

    if form is Form.JSON:
        return output.as_json({"order": order, "timeline": [step._asdict() for step in steps]})
    tables.show_one(form, order, ORDER)
    sys.stdout.write("\n")
    since = (f"{_passed(order['created_at'], step.at):+.3f} s" for step in steps)
    lines = ((step.at, after, step.service, step.what, step.detail) for step, after in zip(steps, since, strict=True))
    return output.rows((("at", "after", "service", "what", "detail"), *lines))


def _passed(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


async def _shown(url: str | None, order: str) -> Any:
    from ordermill.client import reach

    async with reach(url) as gateway:
        staff = await gateway.as_("staff")
        return await staff.get(f"/orders/{await id_of(staff, order)}")


async def _created(
    url: str | None, lines: list[Any], token: str | None, wait: int, key: str | None
) -> tuple[Any, bool]:
    """The order, and whether the provider knows the token."""
    import secrets

    from ordermill.client import reach
    from ordermill.launch import AN_ORDER
    from ordermill.tables import spinner

    body = {"lines": lines, "shipping_address": AN_ORDER["shipping_address"]}
    paid = {**body, "payment": {"token": token}} if token else body
    with spinner("placing the order"):
        async with reach(url) as gateway:
            customer = await gateway.as_("customer")
            answer = await customer.post("/orders", paid, key=key or secrets.token_hex(16), wait=wait)
            is_known = token is None or await _knows(gateway.nobody(), token)
    if answer.headers.get("Idempotent-Replayed") == "true":
        sys.stderr.write("this key was used before: it is the same order\n")
    return said(answer), is_known


async def _knows(anybody: "Caller", token: str) -> bool:
    """Whether the provider knows a token. The order stands, whether somebody can say or not."""
    try:
        tokens = (await anybody.get("/payments/test-tokens"))["data"]
    except Trouble:
        return True
    return any(each["token"] == token for each in tokens)


async def _cancelled(url: str | None, order: str) -> Any:
    from ordermill.client import reach

    async with reach(url) as gateway:
        staff = await gateway.as_("staff")
        return said(await staff.post(f"/orders/{await id_of(staff, order)}/cancel"))


async def _traced(url: str | None, order: str) -> "tuple[Any, list[Step]]":
    from ordermill.client import reach
    from ordermill.trace import story

    async with reach(url) as gateway:
        staff = await gateway.as_("staff")
        return await story(staff, await id_of(staff, order))
