"""One shop for all examples of a test, on a database of its own and an event loop that only runs inside of rules."""

import asyncio

import pytest
from loguru import logger

import chassis.pipeline
from ordermill.services import SERVICES
from payment_service import charging
from tests.stateful.faults import FragileDatabase
from tests.stateful.shop import Shop

QUIET = ("chassis", "ordermill", *SERVICES)


@pytest.fixture
def shop(shop_database, monkeypatch):
    """Pauses that wait for a database to come back are short here: it is back at once."""
    monkeypatch.setattr("chassis.app.Database", FragileDatabase)
    monkeypatch.setattr(chassis.pipeline, "LONGEST_PAUSE", 0.0)
    monkeypatch.setattr(charging, "FIRST_PAUSE", 0.001)
    for name in QUIET:
        logger.disable(name)
    loop = asyncio.new_event_loop()
    shop = loop.run_until_complete(Shop.opened(shop_database, monkeypatch))
    yield shop
    loop.run_until_complete(shop.close())
    loop.close()
    for name in QUIET:
        logger.enable(name)
