"""Mails from templates: ``templates/<template>.{subject,txt,html}`` filled with what the event said."""

from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import UUID

import jinja2
from jinja2 import PackageLoader, StrictUndefined, nodes, select_autoescape
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from chassis.ids import typeid
from contracts.types import order_number
from notification_service.channels import Mail
from notification_service.domain.mails import Template
from notification_service.domain.notification import Notification

# ISO 4217: the currencies that do not have two decimals.
_DECIMALS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(), 0),  # noqa: SIM905 -- shorter
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),  # noqa: SIM905 -- shorter
}


def money(value: Mapping[str, Any]) -> str:
    """An amount for people: ``{"amount": 129900, "currency": "EUR"}`` is ``1,299.00 EUR``."""
    amount, currency = int(value["amount"]), str(value["currency"])
    if (digits := _DECIMALS.get(currency, 2)) == 0:
        return f"{amount:,} {currency}"
    units, rest = divmod(amount, 10**digits)
    return f"{units:,}.{rest:0{digits}} {currency}"


def line_total(line: Mapping[str, Any]) -> dict[str, Any]:
    """What a priced line costs."""
    price = line["unit_price"]
    return {"amount": line["quantity"] * price["amount"], "currency": price["currency"]}


def reference(value: str, prefix: str) -> str:
    """An id as people see it elsewhere: its TypeID."""
    return typeid(prefix, UUID(value))


class _Environment(ImmutableSandboxedEnvironment):
    """What templates see came as JSON: ``line.name`` is its key first."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)


_LOADER = PackageLoader("notification_service")
_TEMPLATES = _Environment(
    loader=_LOADER,
    autoescape=select_autoescape(enabled_extensions=("html",), default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_TEMPLATES.globals.clear()
_TEMPLATES.filters = {"money": money, "line_total": line_total, "reference": reference}


def render(notification: Notification, *, address: str, name: str | None, shop: str, domain: str) -> Mail:
    """The mail of a notification. ``shop`` is the shop's name, ``domain`` what its Message-IDs end with.

    A name is one line, whatever its owner calls it: nobody has verified that the address is theirs.

    Raises:
        jinja2.TemplateError: when the event does not hold what the template needs.
    """
    values = {**notification.data, "name": name and " ".join(name.split()), "shop": shop}
    values |= {"order_number": None, "order_ref": None}
    if notification.order_id is not None:
        values["order_number"] = order_number(notification.order_id)
        values["order_ref"] = typeid("ord", notification.order_id)
    values["subject"] = subject = " ".join(_fill(notification.template, "subject", values).split())
    return Mail(
        message_id=message_id(notification, domain),
        address=address,
        subject=subject,
        text=_fill(notification.template, "txt", values).strip() + "\n",
        html=_fill(notification.template, "html", values),
    )


def _fill(template: Template, form: str, values: dict[str, Any]) -> str:
    return _template(f"{template}.{form}").render(values)


@cache
def _template(name: str) -> jinja2.Template:
    """It with its layout around it, in one piece: blocks that are looked up at each mail cost as much as the rest."""
    code = _TEMPLATES.compile(_whole(name, {}), name)
    return jinja2.Template.from_code(_TEMPLATES, code, {})


def _whole(name: str, blocks: Mapping[str, nodes.Block]) -> nodes.Template:
    """A template with these blocks, of those that extend it, in the place of its own."""
    read = _TEMPLATES.parse(_LOADER.get_source(_TEMPLATES, name)[0], name)
    known = {**{block.name: block for block in read.find_all(nodes.Block)}, **blocks}
    extended = read.find(nodes.Extends)
    return _whole(extended.template.as_const(), known) if extended else _Placing(known).visit(read)


class _Placing(NodeTransformer):
    """Puts what a block holds where its name stands."""

    def __init__(self, blocks: Mapping[str, nodes.Block]) -> None:
        self._blocks = blocks

    def visit_Block(self, block: nodes.Block) -> list[nodes.Node]:  # noqa: N802 -- Jinja's name
        return self._blocks[block.name].body


def message_id(notification: Notification, domain: str) -> str:
    """From the notification's id, so from the event: a mail that leaves twice is one; resent on request, another."""
    again = f".{notification.resent}" if notification.resent else ""
    return f"<{typeid('ntf', notification.id)}{again}@{domain}>"
