"""Customers who look on: how many may, and what they are told when the process ends."""

import asyncio

import pytest

from chassis.admission import Admission
from chassis.ids import typeid
from order_service import following
from tests.service.order_service.conftest import BODY
from tests.support.eventually import eventually


@pytest.fixture
def here(monkeypatch):
    """Room for one."""
    admission = Admission(waiting=1)
    monkeypatch.setattr(following, "HERE", admission)
    return admission


async def test_when_the_process_ends_who_waits_is_told_what_is_known_and_a_stream_ends(orders, here):
    path = f"/orders/{typeid('ord', await orders.place())}/stream"
    here.waiting = 4
    streaming = asyncio.create_task(orders.call("GET", path, status=200))
    waiting = asyncio.create_task(orders.call("POST", "/orders", json=BODY, status=201, Prefer="wait=20"))
    await eventually(lambda: here.onlookers == 2)

    here.end()

    async with asyncio.timeout(10):
        assert (await waiting).json()["status"] == "pending"
        assert "event: order" in (await streaming).text
    assert here.onlookers == 0


async def test_one_customer_who_waits_leaves_room_for_others(orders, here):
    here.waiting, here.of_one = 9, 1
    waiting = asyncio.create_task(orders.call("POST", "/orders", json=BODY, status=201, Prefer="wait=20"))
    await eventually(lambda: here.onlookers == 1)

    placed = await orders.call("POST", "/orders", json=BODY, status=201, Prefer="wait=20")
    here.end()

    assert "Preference-Applied" not in placed.headers
    assert "Preference-Applied" in (await waiting).headers


async def test_many_customers_of_one_place_leave_room_for_others(orders, here):
    path = f"/orders/{typeid('ord', await orders.place())}/stream"
    here.waiting = 4

    with here.looking_on_as("bob", "127.0.0.1"), here.looking_on_as("cid", "127.0.0.1"):
        placed = await orders.call("POST", "/orders", json=BODY, status=201, Prefer="wait=1")
        await orders.call("GET", path, status=503)
    with here.looking_on_as("bob", "203.0.113.7"), here.looking_on_as("cid", "203.0.113.7"):
        elsewhere = await orders.call("POST", "/orders", json=BODY, status=201, Prefer="wait=1")

    assert "Preference-Applied" not in placed.headers
    assert elsewhere.headers["Preference-Applied"] == "wait=1"


async def test_beyond_the_bound_nobody_is_made_to_wait_and_a_stream_is_refused(orders, here):
    path = f"/orders/{typeid('ord', await orders.place())}/stream"

    with here.looking_on():
        placed = await orders.call("POST", "/orders", json=BODY, status=201, Prefer="wait=20")
        refused = await orders.call("GET", path, status=503)

    assert "Preference-Applied" not in placed.headers
    assert (refused.json()["code"], refused.headers["Retry-After"]) == ("unavailable", "1")
