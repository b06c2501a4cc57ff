"""RabbitMQ as three private nodes: one dies, each restarts, two are gone, while orders come. Nothing is lost."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ordermill.erlang import ensure_installation
from tests.support.eventually import eventually
from tests.support.outcomes import confirmed_once
from tests.support.people import Insistent, Person, a_customer, a_product, an_order_for, logged_in, uuid_of, visiting
from tests.support.running_shop import RunningShop, a_running_shop

NODES = ["rabbitmq", "rabbitmq2", "rabbitmq3"]
BACK_WITHIN = 60.0
PACE = 0.2  # between two orders of one who orders all the time
OWN_AND_DEAD = 2  # queues of each service


@pytest.fixture(scope="module")
async def cluster(run_folder: Path) -> AsyncIterator[RunningShop]:
    async with a_running_shop(run_folder / "cluster", own_servers=True, options=("--broker-nodes", "3")) as running:
        yield running


@asynccontextmanager
async def somebody_ordering(customer: Person, sku: str) -> AsyncIterator[list[dict[str, Any]]]:
    """What is accepted while the block runs; nobody is refused, whatever happens to the broker."""
    orders: list[dict[str, Any]] = []
    ended = asyncio.Event()
    client = Insistent(customer)

    async def order() -> None:
        while not ended.is_set():
            orders.extend(await client.orders(5, sku))
            await asyncio.sleep(PACE)

    ordering = asyncio.create_task(order())
    try:
        yield orders
    finally:
        ended.set()
        await ordering
    assert client.refused == []


async def queues(shop: RunningShop) -> list[dict[str, Any]]:
    """Every queue with its leader and its members, as the third node knows them."""
    rabbitmq, ports = shop.home / "rabbitmq", json.loads((shop.home / "ports.json").read_text())
    told = {
        "PATH": os.environ["PATH"],
        "HOME": str(rabbitmq),
        "ERL_EPMD_PORT": str(ports["epmd"]),
        "RABBITMQ_NODENAME": "ordermill3@localhost",
    }
    program = ensure_installation(print).home / "sbin" / "rabbitmqctl"
    words = ("-q", "list_queues", "name", "leader", "members", "--formatter", "json")
    child = await asyncio.create_subprocess_exec(program, *words, env=told, stdout=asyncio.subprocess.PIPE)
    found: list[dict[str, Any]] = json.loads((await child.communicate())[0])
    return found


async def told_of(shop: RunningShop, orders: list[dict[str, Any]]) -> int:
    """How many of these orders the broker is said to have heard of."""
    statement = """
        SELECT count(*) FROM unnest($1::text[]) wanted WHERE EXISTS (
            SELECT FROM order_service.outbox
            WHERE published_at IS NOT NULL AND topic = 'order.created' AND strpos(events, wanted) > 0
        )
    """
    [(count,)] = await shop.rows(statement, [str(uuid_of(order)) for order in orders])
    return int(count)


async def kept_down(shop: RunningShop, names: list[str]) -> list[int]:
    """Kills nodes, and freezes those that the supervisor starts in their place; the pids of the killed."""
    killed = await asyncio.gather(*(shop.signal(name, signal.SIGKILL) for name in names))

    async def are_new() -> bool:
        processes = await shop.processes()
        return not {processes[name]["pid"] for name in names} & {None, *killed}

    await eventually(are_new)
    await asyncio.gather(*(shop.freeze(name) for name in names))
    return killed


async def test_a_node_dies_each_restarts_and_two_are_gone_and_no_order_is_lost_or_doubled(cluster: RunningShop):
    async with visiting(cluster) as client:
        # given
        staff = await logged_in(client, "staff@ordermill.example", cluster.secret("demo.staff"))
        customer, sku = await a_customer(client), await a_product(staff, stock=100_000)
        before = await queues(cluster)
        leaders = {queue["name"]: queue["leader"].partition("@")[0] for queue in before}
        first = leaders["order_service"].replace("ordermill", "rabbitmq")

        # when
        async with somebody_ordering(customer, sku) as orders:
            killed = await cluster.kill(first)
            await cluster.back(first, killed, BACK_WITHIN)
            for name in sorted(set(NODES) - {first}):
                await cluster.command("restart", name)
        gone = await kept_down(cluster, NODES[:2])
        meanwhile = [await customer.order(an_order_for(sku)) for _ in range(20)]
        heard = await told_of(cluster, [response.json() for response in meanwhile])
        await asyncio.gather(*(cluster.thaw(name) for name in NODES[:2]))

        # then
        assert len(before) == OWN_AND_DEAD * 5
        assert {len(queue["members"]) for queue in before} == {3}
        assert len(set(leaders.values())) > 1
        assert {response.status_code for response in meanwhile} == {201}
        assert heard == 0
        for name, pid in zip(NODES[:2], gone, strict=True):
            await cluster.back(name, pid, BACK_WITHIN)
        accepted = [*orders, *(response.json() for response in meanwhile)]
        await confirmed_once(cluster, customer, accepted, sku, within=BACK_WITHIN)
        assert await staff.stock_of(sku) == (100_000, len(accepted))
        assert await told_of(cluster, accepted) == len(accepted)

        # and
        assert Counter(len(queue["members"]) for queue in await queues(cluster)) == {3: len(before)}
        await eventually(lambda: _audited(cluster), within=BACK_WITHIN)


async def _audited(shop: RunningShop) -> bool:
    """Whether no promise is broken, of a shop that rests, too; what is still on its way may be, for a moment."""
    try:
        await shop.command("audit")
    except RuntimeError:
        return False
    return True
