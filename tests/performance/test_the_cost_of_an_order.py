"""What an order takes, counted and not timed: a change that costs more fails here, and says at which step."""

import logging
import sys

import asyncpg
import pytest
from loguru import logger

from chassis.logging import set_up
from tests.support import costs
from tests.support.counted_parts import a_counted_shop, bodies, skus
from tests.support.counted_shop import Step

WARM_UP, FEW, MANY = 5, 10, 40


@pytest.fixture
def lines(capsysbinary):
    """How many lines were logged since it was asked last. Afterwards logging is as it was."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    set_up("shop")
    yield lambda: capsysbinary.readouterr().err.count(b"\n")
    root.handlers[:] = before
    root.setLevel(level)
    logger.remove()
    logger.configure(extra={}, patcher=lambda _: None)
    logger.add(sys.__stderr__)


async def rows(database, shop):
    """Rows written so far, by table and by what was done to them."""
    for each in shop.databases():
        async with each.transaction() as tx:
            await tx.sql("SELECT pg_stat_force_next_flush()")
    for connection in shop.connections.values():
        await connection.execute("SELECT pg_stat_force_next_flush()")
    return {row["name"]: row["counts"] for row in await database.fetch(costs.WRITTEN)}


@pytest.fixture
async def measured(shop_database, lines):
    """The steps of few orders and of many, and the rows that they wrote."""
    database = await asyncpg.connect(shop_database)
    found = []
    async with a_counted_shop(shop_database, lines) as shop:
        await shop.stock(skus(0, WARM_UP + FEW + MANY))
        first = 0
        for orders in (WARM_UP, FEW, MANY):
            before = await rows(database, shop)
            steps = await shop.live(bodies(first, orders))
            found.append(costs.Batch(orders, steps, costs.grown(await rows(database, shop), before)))
            first += orders
    await database.close()
    return found[1:]


async def test_an_order_costs_what_the_page_says(measured, request):
    few, many = measured
    page = costs.page(few, many)
    if request.config.getoption("--new-costs"):
        costs.PAGE.write_text(page)

    changed = costs.dearer(page, costs.PAGE.read_text())
    assert not changed, "\n".join([*changed, "Is that meant? pytest tests/performance --new-costs"])


def a_page(**changes):
    """A page of one step; `changes` are of its counters with many orders."""
    one = {"statements": ["begin", "select orders", "commit"], "bytes": 1_000, "calls": 1_000}
    few, many = Step(**one), Step(**{**one, "bytes": 4_000, "calls": 4_000} | changes)
    return costs.page(costs.Batch(10, {"POST": few}, {}), costs.Batch(40, {"POST": many}, {}))


def test_a_page_that_is_true_passes_and_a_little_more_python_too():
    assert costs.dearer(a_page(), a_page()) == []
    assert costs.dearer(a_page(calls=4_200), a_page()) == []
    assert costs.dearer(a_page(calls=3_000), a_page()) == []


def test_a_statement_for_each_order_fails_and_is_named():
    found = costs.dearer(a_page(statements=["begin", *["select orders"] * 40, "commit"]), a_page())

    assert found[0] == (
        "POST\n  the page says: 1 | 3 | 0 | 0 | 0 | 100 | 100\n  it is now:     1 | -10 + 1.3n | 0 | 0 | 0 | 100 | 100"
    )
    assert any("select orders, select orders" in line for line in found)


def test_another_statement_or_more_python_fails():
    another = ["begin", "select orders", "select products", "commit"]

    assert len(costs.dearer(a_page(statements=another), a_page())) == 3
    assert [line.partition("\n")[0] for line in costs.dearer(a_page(calls=4_500), a_page())] == ["POST", "all"]
