"""An event in a process of its own: it is settled there, or that process dies of it, or never comes so far."""

from textwrap import dedent

import pytest

from chassis.database import Database
from chassis.deferred import Deferred, DeferredEvents
from chassis.ids import new_id
from contracts.envelope import encode
from contracts.stock import StockReleased
from contracts.types import OrderId
from ordermill import apart
from tests.support.envelopes import enveloped

SERVICE = "order_service"


@pytest.fixture(autouse=True)
def settings(shop_database, monkeypatch):
    """Those of a worker, as its process inherits them."""
    for name, value in {"DATABASE_URL": shop_database, "BROKER_URL": "amqp://nobody/", "EDGE_KEY": "t"}.items():
        monkeypatch.setenv(f"ORDERMILL_{name}", value)


@pytest.fixture
def sabotage(tmp_path, monkeypatch):
    """Code that every process of ours runs first from now on."""

    def sabotage(code):
        (tmp_path / "sitecustomize.py").write_text(dedent(code))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return sabotage


@pytest.fixture
async def database(shop_database):
    database = Database(shop_database)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def event(database):
    """An event that waits, about an order that nobody knows."""
    envelope = enveloped(StockReleased(order_id=OrderId(new_id())))
    row = Deferred(new_id(), 0, envelope.type, envelope.subject, encode([envelope]).decode(), 2, "", careful=True)
    async with database.transaction() as tx:
        await DeferredEvents(SERVICE).add(tx, [row])
    return row


@pytest.fixture
def waits(database, event):
    async def waits():
        async with database.transaction(read_only=True) as tx:
            return await DeferredEvents(SERVICE).find(tx, *event.key) is not None

    return waits


async def test_an_event_that_harms_nobody_is_settled(event, waits):
    assert await apart.survives(SERVICE, event) is True

    assert await waits() is False


async def test_a_process_that_is_killed_by_the_event_does_not_survive_it(event, waits, sabotage):
    sabotage("""
        import os
        from chassis.pipeline import Pipeline
        Pipeline.retry = lambda *_: os.kill(os.getpid(), 9)
    """)

    assert await apart.survives(SERVICE, event) is False

    assert await waits() is True


async def test_a_process_that_the_event_keeps_busy_for_ever_does_not_survive_it(event, waits, sabotage, monkeypatch):
    monkeypatch.setattr(apart, "ENDS_WITHIN", 0.5)
    sabotage("""
        import time
        from chassis.pipeline import Pipeline
        Pipeline.retry = lambda *_: time.sleep(3600)
    """)

    assert await apart.survives(SERVICE, event) is False

    assert await waits() is True


async def test_a_process_that_ends_before_it_begins_has_not_died_of_the_event(event, waits, monkeypatch):
    monkeypatch.delenv("ORDERMILL_EDGE_KEY")

    assert await apart.survives(SERVICE, event) is True

    assert await waits() is True


async def test_an_event_that_is_gone_kills_nobody(event, database):
    async with database.transaction() as tx:
        await DeferredEvents(SERVICE).take(tx, [event])

    assert await apart.survives(SERVICE, event) is True
