"""Mails, rendered from the templates of notification_service, and thrown away: the null channel."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from chassis.ids import typeid
from contracts.types import order_number


class Mail(NamedTuple):
    subject: str
    text: str
    html: str


def money(value: Mapping[str, Any]) -> str:
    units, cents = divmod(value["amount"], 100)
    return f"{units:,}.{cents:02} {value['currency']}"


def line_total(line: Mapping[str, Any]) -> dict[str, Any]:
    price = line["unit_price"]
    return {"amount": line["quantity"] * price["amount"], "currency": price["currency"]}


templates = Environment(
    loader=PackageLoader("notification_service"),
    autoescape=select_autoescape(enabled_extensions=("html",), default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
templates.filters |= {"money": money, "line_total": line_total}


def render(template: str, order_id: UUID, data: Mapping[str, Any]) -> Mail:
    reference = {"order_number": order_number(order_id), "order_ref": typeid("ord", order_id)}
    values = {**data, **reference, "name": None, "shop": "The usual shop"}
    values["subject"] = fill(template, "subject", values)
    return Mail(values["subject"], fill(template, "txt", values), fill(template, "html", values))


def fill(template: str, form: str, values: Mapping[str, Any]) -> str:
    return templates.get_template(f"{template}.{form}").render(values)


async def send(mail: Mail) -> None:
    """Hands the mail to the null channel, which does nothing with it."""
