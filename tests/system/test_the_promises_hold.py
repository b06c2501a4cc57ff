"""After all that the tests before this file did to the packed shop, its promises hold."""

import asyncio
from contextlib import suppress
from typing import Any

from ordermill.audit import Kind, Question, audit
from tests.support.eventually import eventually
from tests.support.people import Person
from tests.support.running_shop import RunningShop

RESTS_WITHIN = 90.0


async def broken(shop: RunningShop, kinds: frozenset[Kind]) -> list[tuple[str, list[dict[str, Any]]]]:
    verdicts = await audit(shop.auditor_url, Question(kinds))
    return [(verdict.invariant.id, verdict.broken) for verdict in verdicts if verdict.count]


async def test_the_shop_keeps_its_promises_while_it_works_and_when_it_rests(
    shop: RunningShop, customer: Person, sku: str
):
    # given
    placed = [customer.ordered(sku, token=token) for token in ("tok_ok", "tok_declined", "tok_timeout", "tok_slow") * 2]
    orders = await asyncio.gather(*placed)
    for order in orders[:2]:
        await customer.post(f"/orders/{order['id']}/cancel")

    # when
    busy = await broken(shop, frozenset({Kind.ALWAYS}))

    # then
    async def keeps_all() -> bool:
        found[:] = await broken(shop, frozenset(Kind))
        return not found

    found: list[tuple[str, list[dict[str, Any]]]] = []
    assert busy == []
    with suppress(TimeoutError):
        await eventually(keeps_all, within=RESTS_WITHIN)
    assert found == []
    assert "ok" in await shop.command("audit", "--only", "S1")
