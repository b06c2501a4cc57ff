"""The shop that is measured: fresh, in a folder of its own, durable, with what a shop in production writes and logs."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from contracts.types import UnitPrice
from inventory_service.domain.movement import Reason
from inventory_service.domain.product import CreateProduct
from inventory_service.domain.stock import AdjustStock
from ordermill import launch, seeds, stage
from ordermill.bench.orders import Shelf
from ordermill.bench.scenarios import Scenario
from ordermill.process import Spec
from ordermill.shop import Progress, Shop
from ordermill.stage import Stage
from ordermill.state import Layout, State

OWN_SERVERS = "It measures a shop with servers of its own, so that nothing else is in the figures."
AT_ONCE = 500
HEARS_EACH = 0.1
HEARS_WITHIN = 60.0

# Mails are queued, sent and rendered, but to nobody; the simulated provider works inside of the shop when packed. All
# load comes from one address.
SETTINGS = {
    "ORDERMILL_MAIL_CHANNEL": "null",
    "ORDERMILL_LOG_FORMAT": "json",
    "ORDERMILL_LOG_LEVEL": "INFO",
    "ORDERMILL_GATEWAY_RATE_LIMITS": "off",
}
# A declined order is given up soon, since a run ends when all is settled; a slow card takes three seconds.
CHANGED = {
    Scenario.MIXED: {"ORDERMILL_ORDER_SERVICE_PAY_BY": "PT2S"},
    Scenario.SLOW: {"ORDERMILL_SIMULATOR_SCALE": "0.5"},
}


def settings(scenario: Scenario) -> dict[str, str]:
    """What the measured shop is told that differs from what `up` tells."""
    return {**SETTINGS, **CHANGED.get(scenario, {})}


@asynccontextmanager
async def a_stage(
    home: Path, layout: Layout, scenario: Scenario, note: Callable[[str], None], broker_nodes: int = 1
) -> AsyncIterator[Stage]:
    """A fresh shop, ready. It ends with the block; its folder stays."""

    def told(_state: State, by_default: dict[str, str]) -> dict[str, str]:
        return {**by_default, **settings(scenario)}

    with stage.a_fresh_place(home, layout, OWN_SERVERS, broker_nodes) as state:
        shop = Shop(state, Progress(time.monotonic(), note), lambda: stage.Steps(launch.load_setup(), told))
        async with stage.at_work(shop):
            yield Stage(shop)


async def fill(on: Stage, shelves: Sequence[Shelf]) -> None:
    """Products with stock, made by the inventory's own decisions; returns when orders know them."""
    told = on.shop.setup.environment(on.state)
    async with seeds.at_work("inventory_service", told) as parts:
        for at in range(0, len(shelves), AT_ONCE):
            some = shelves[at : at + AT_ONCE]
            await asyncio.gather(*(parts.pipeline.submit(_product(shelf)) for shelf in some))
            await asyncio.gather(*(parts.pipeline.submit(_delivery(shelf)) for shelf in some))
    async with on.database() as database, asyncio.timeout(HEARS_WITHIN):
        statement = "SELECT count(*) FROM order_service.products WHERE sku = ANY($1::text[])"
        while await database.fetchval(statement, [shelf.sku for shelf in shelves]) < len(shelves):  # noqa: ASYNC110 -- news on its way
            await asyncio.sleep(HEARS_EACH)


def _product(shelf: Shelf) -> CreateProduct:
    price = UnitPrice(amount=shelf.price, currency="EUR")
    return CreateProduct(sku=shelf.sku, name=f"Product {shelf.sku}", description="", price=price)


def _delivery(shelf: Shelf) -> AdjustStock:
    return AdjustStock(sku=shelf.sku, delta=shelf.stock, reason=Reason.RECEIVED)


async def stop_workers(on: Stage) -> list[Spec]:
    """Ends every worker; what to start when they shall work again."""
    names = [name for name in on.ours if name.endswith(".worker")]
    return [await on.shop.supervisor.put_aside(name) for name in names]


async def start(on: Stage, specs: Sequence[Spec]) -> None:
    """Starts processes and returns when all are ready."""
    await asyncio.gather(*(on.shop.supervisor.start_ready(spec) for spec in specs))


def metrics_addresses(on: Stage) -> list[str]:
    """Where the processes show their counters; the packed edges stand behind the gateway, which shows none."""
    names = [name for name in on.ours if name.endswith((".api", ".worker")) and name != "shop.api"]
    return [f"{on.state.url(name)}/metrics" for name in names]


async def durability(on: Stage) -> dict[str, Any]:
    """What the servers say of how they keep what was committed and confirmed."""
    async with on.database() as database:
        names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
        postgres = {name: await database.fetchval(f"SHOW {name}") for name in names}
    return {"postgres": postgres, "queues": await _queues(on)}


async def _queues(on: Stage) -> dict[str, str]:
    told = await on.control_broker("list_queues", "name", "type", "--no-table-headers")
    return dict(line.split("\t", 1) for line in told.splitlines() if "\t" in line)
