"""The last file of this folder: after all that the tests did to the packed shop, its promises hold."""

import asyncio
import json

from tests.support.eventually import eventually
from tests.support.people import Person
from tests.support.running_shop import RunningShop

RESTS_WITHIN = 90.0


async def test_the_shop_keeps_its_promises_while_it_works_and_when_it_rests(
    shop: RunningShop, customer: Person, sku: str
):
    # given
    placed = [customer.ordered(sku, token=token) for token in ("tok_ok", "tok_declined", "tok_timeout", "tok_slow") * 2]
    orders = await asyncio.gather(*placed)
    for order in orders[:2]:
        await customer.post(f"/orders/{order['id']}/cancel")

    # when
    busy = json.loads(await shop.command("audit", "--always", "-o", "json"))

    # then
    async def keeps_all() -> bool:
        try:
            await shop.command("audit")
        except RuntimeError as broken:
            found.append(str(broken))
            return False
        return True

    found: list[str] = []
    assert {verdict["id"]: verdict["ok"] for verdict in busy} == {verdict["id"]: True for verdict in busy}
    try:
        await eventually(keeps_all, within=RESTS_WITHIN)
    except TimeoutError:
        raise AssertionError(found[-1:]) from None
