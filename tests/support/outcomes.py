"""What has become of many orders, looked up where each service keeps it; AssertionError when a promise is broken."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from tests.support.eventually import eventually
from tests.support.people import Person, uuid_of
from tests.support.running_shop import RunningShop

LEASE = 150.0  # a mail that a killed sender had claimed is sent when its lease of two minutes is over


async def statuses(shop: RunningShop, ids: Sequence[UUID]) -> Counter[str]:
    rows = await shop.rows("SELECT status FROM order_service.orders WHERE id = ANY($1::uuid[])", list(ids))
    return Counter(row["status"] for row in rows)


async def confirmed_once(
    shop: RunningShop, customer: Person, orders: Sequence[Mapping[str, Any]], sku: str, within: float = 60.0
) -> None:
    """Every order that was accepted is confirmed, charged once and told of in one mail, and there are no others."""
    ids = [uuid_of(order) for order in orders]
    await _all_confirmed(shop, ids, within)
    charges = await shop.rows("SELECT order_id FROM provider.charges WHERE order_id = ANY($1::uuid[])", ids)
    _same(Counter(row["order_id"] for row in charges), Counter(ids), "charges")
    stored = await shop.rows(
        "SELECT id FROM order_service.orders WHERE lines @> jsonb_build_array(jsonb_build_object('sku', $1::text))", sku
    )
    _same(Counter(row["id"] for row in stored), Counter(ids), "orders")
    await _one_mail_each(shop, customer, orders)


async def _all_confirmed(shop: RunningShop, ids: Sequence[UUID], within: float) -> None:
    async def is_so() -> bool:
        return await statuses(shop, ids) == {"confirmed": len(ids)}

    try:
        await eventually(is_so, within=within)
    except TimeoutError:
        message = f"after {within} s: {await statuses(shop, ids)}"
        raise AssertionError(message) from None


async def _one_mail_each(shop: RunningShop, customer: Person, orders: Sequence[Mapping[str, Any]]) -> None:
    """SMTP cannot promise that a mail comes once when a sender is killed: its Message-ID is what must be the same."""
    expected = Counter(f"Your order {order['number']} is confirmed" for order in orders)
    found: Counter[str] = Counter()

    async def is_so() -> bool:
        mails = {mail["message_id"]: mail["subject"] for mail in await shop.mails(customer.email)}
        found.clear()
        found.update(mails.values())
        return len(mails) >= len(orders)

    with suppress(TimeoutError):
        await eventually(is_so, within=LEASE)
    _same(found, expected, "mails")


def _same(found: Counter[Any], expected: Counter[Any], what: str) -> None:
    if found != expected:
        message = f"{what}: too many {found - expected}, too few {expected - found}"
        raise AssertionError(message)
