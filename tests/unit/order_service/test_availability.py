"""inventory_service may be slow, wrong or away: a quote is given all the same."""

import httpx2

from order_service.availability import FAILURES, PAUSE, Availability
from tests.support.order_service import MUG, TEA


class Inventory:
    def __init__(self, answer=None):
        self.asked = 0
        self.answer = answer or httpx2.Response(200, json={"available": {MUG: 3, TEA: 0}})

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def availability(inventory, clock=lambda: 0.0) -> Availability:
    return Availability(
        httpx2.AsyncClient(transport=httpx2.MockTransport(inventory), base_url="http://inventory"), clock
    )


async def test_what_is_available_is_asked_at_once():
    inventory = Inventory()

    assert await availability(inventory).of([MUG, TEA]) == {MUG: 3, TEA: 0}
    assert inventory.asked == 1


async def test_nobody_knows_when_inventory_does_not_answer_well():
    for answer in (httpx2.ConnectError("down"), httpx2.Response(503), httpx2.Response(200, text="?"), OSError()):
        assert await availability(Inventory(answer)).of([MUG]) == {MUG: None}


async def test_after_some_failures_nobody_is_asked_for_a_while():
    inventory, now = Inventory(httpx2.ConnectError("down")), [0.0]
    asking = availability(inventory, lambda: now[0])
    for _ in range(FAILURES + 2):
        assert await asking.of([MUG]) == {MUG: None}
    assert inventory.asked == FAILURES

    now[0] = PAUSE
    inventory.answer = httpx2.Response(200, json={"available": {MUG: 3}})

    assert await asking.of([MUG]) == {MUG: 3}
    assert inventory.asked == FAILURES + 1
