"""Quotes, which anybody may ask for: many from one place keep nobody else from theirs."""

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack

import httpx2
import pytest

from chassis.api import api
from chassis.line import Line
from order_service import own
from order_service.own import Own, TooManyQuotes
from tests.service.order_service.conftest import LINES
from tests.support.eventually import eventually


class Askers:
    """Clients at several addresses, and a line for quotes with room for one that is served and two that wait."""

    def __init__(self, parts):
        self.line = Line(1, 2, TooManyQuotes)
        parts.own = Own(parts.own.availability, self.line, parts.own.large)
        self.app = api(parts)

    async def ask(self, address, lines=LINES):
        transport = httpx2.ASGITransport(self.app, client=(address, 5))
        async with httpx2.AsyncClient(transport=transport, base_url="http://orders") as http:
            return await http.post("/api/v1/quotes", json={"lines": lines})

    def asking(self, *addresses):
        return [asyncio.create_task(self.ask(address)) for address in addresses]

    @property
    def waiting(self):
        return {place: len(line) for place, line in self.line._waiting.items()}


@pytest.fixture
def askers(orders):
    return Askers(orders.parts)


async def test_where_the_line_is_full_one_more_of_the_same_place_is_told_to_come_again(askers):
    async with askers.line.turn("elsewhere"):
        waiting = askers.asking("2001:db8:0:1::9", "2001:db8:0:2::9")
        await eventually(lambda: askers.waiting == {"2001:db8::/48": 2})
        refused = await askers.ask("2001:db8:0:3::9")

    assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (503, "unavailable", "1")
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200, 200]


async def test_whoever_comes_from_a_place_with_fewer_has_the_place_of_one_who_came_last_from_where_most_are(askers):
    async with askers.line.turn("elsewhere"):
        crowd = askers.asking("203.0.113.7", "203.0.113.7")
        await eventually(lambda: askers.waiting == {"203.0.113.7": 2})
        newcomer = askers.asking("203.0.113.8")
        await eventually(lambda: askers.waiting == {"203.0.113.7": 1, "203.0.113.8": 1})

    assert Counter(answer.status_code for answer in await asyncio.gather(*crowd)) == {200: 1, 503: 1}
    assert (await newcomer[0]).status_code == 200
    assert askers.waiting == {}


async def test_a_place_in_the_line_ends_with_the_quote_also_with_one_that_is_refused(askers):
    unknown = [{"sku": "VASE", "quantity": 1}]

    answers = [await askers.ask("203.0.113.7", lines) for lines in (unknown, unknown, LINES)]

    assert [answer.status_code for answer in answers] == [422, 422, 200]
    assert askers.line._free == 1


async def test_quotes_leave_half_of_the_connections_to_the_database_to_others(orders):
    line = orders.parts.own.quotes

    async with AsyncExitStack() as turns:
        for place in range(own._AT_ONCE):
            await turns.enter_async_context(line.turn(place))
        assert line._free == 0
    assert orders.parts.settings.database_connections // 2 == own._AT_ONCE


async def test_a_hundred_lines_are_answered_in_order_from_one_question_about_each_sku(orders, monkeypatch):
    asked = []

    async def post(path, **given):
        asked.append(given["json"]["skus"])
        request = httpx2.Request("POST", f"http://inventory{path}")
        return httpx2.Response(200, text=json.dumps({"available": {"MUG-RED": 7, "TEA-GREEN": 0}}), request=request)

    monkeypatch.setattr(orders.parts.own.availability._inventory, "post", post)
    lines = [{"sku": sku, "quantity": quantity} for quantity in range(1, 51) for sku in ("TEA-GREEN", "MUG-RED")]

    answers = [await orders.http.post("/api/v1/quotes", json={"lines": lines}) for _ in range(2)]

    told = answers[0].json()["lines"]
    assert answers[0].content == answers[1].content
    assert [(line["line_no"], line["sku"], line["quantity"]) for line in told] == [
        (number, line["sku"], line["quantity"]) for number, line in enumerate(lines, 1)
    ]
    assert asked[0] == ["MUG-RED", "TEA-GREEN"]
    assert answers[0].headers["content-type"] == "application/json"
