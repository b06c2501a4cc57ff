"""inventory_service may be slow, wrong or away: a quote is given all the same."""

import asyncio
import json

import httpx2

from order_service.availability import FAILURES, KEPT_FOR, PAUSE, Availability
from tests.support.order_service import MUG, TEA


class Inventory:
    def __init__(self, answer=None):
        self.asked = 0
        self.skus = []
        self.answer = answer or httpx2.Response(200, json={"available": {MUG: 3, TEA: 0}})

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        self.skus += json.loads(request.content)["skus"]
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


async def test_who_answers_a_byte_at_a_time_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("order_service.availability.WITHIN", 0.05)

    async def bytes_for_ever():
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    assert await availability(Inventory(httpx2.Response(200, content=bytes_for_ever()))).of([MUG]) == {MUG: None}


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


async def test_what_was_told_is_good_for_half_a_second_sku_by_sku():
    inventory, now = Inventory(), [0.0]
    asking = availability(inventory, lambda: now[0])

    assert await asking.of([MUG]) == {MUG: 3}
    now[0] = KEPT_FOR / 2
    assert await asking.of([MUG, TEA]) == {MUG: 3, TEA: 0}
    assert await asking.of([TEA, MUG]) == {TEA: 0, MUG: 3}
    assert inventory.skus == [MUG, TEA]

    now[0] = KEPT_FOR
    assert await asking.of([TEA]) == {TEA: 0}
    assert inventory.skus == [MUG, TEA, TEA]
    assert set(asking._told) <= {MUG, TEA}


async def test_what_was_told_while_it_was_forgotten_is_not_kept_for_longer():
    now = [0.0]

    def slowly(request):
        now[0] += KEPT_FOR
        return httpx2.Response(200, json={"available": {MUG: 3}})

    asking = availability(slowly, lambda: now[0])

    for _ in range(2):
        assert await asking.of([MUG]) == {MUG: 3}
    assert now[0] == 2 * KEPT_FOR


async def test_while_nobody_is_asked_what_was_told_lately_is_told():
    inventory = Inventory()
    asking = availability(inventory)
    await asking.of([MUG])
    inventory.answer = httpx2.ConnectError("down")

    for _ in range(FAILURES + 1):
        assert await asking.of([MUG, TEA]) == {MUG: 3, TEA: None}
    assert inventory.asked == 1 + FAILURES
