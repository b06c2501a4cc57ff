"""At three times what the shop can do it does as much as ever and refuses the rest; right after it is itself again.

Five hundred who say nothing whole are in nobody's way. All figures are ratios within one run. Peak and overload take
turns, since the machine may have other things to do.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest

from tests.support.eventually import eventually
from tests.support.people import Person, a_customer, a_product, an_order_for
from tests.support.running_shop import RunningShop, a_running_shop

CLIENTS = 100  # at once, where the shop does most: fewer than it works on at once, so that none is refused
EACH = 3.0
ROUNDS, AT_MOST = 3, 9
TIMES = 3
CALM, HALF_OPEN = 100.0, 500
PROCESSES = ("shop.api", "shop.worker", "shop2.worker")
HALF_A_BODY = (
    b"POST /api/v1/orders HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"
)
Figures = dict[str, Any]


@pytest.fixture(scope="module")
async def shop(run_folder: Path) -> AsyncIterator[RunningShop]:
    """A shop of its own, without mails: thousands of them would keep other tests waiting for theirs."""
    async with a_running_shop(run_folder / "overload", ORDERMILL_MAIL_CHANNEL="null") as running:
        yield running


class Load:
    """The load generator's process."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    async def phase(self, **phase: float) -> Figures:
        self._child.stdin.write(json.dumps(phase).encode() + b"\n")
        figures: Figures = json.loads(await self._child.stdout.readline())
        return {**figures, "goodput": figures["taken"] / figures["seconds"]}


@asynccontextmanager
async def a_load(shop: RunningShop, customer: Person, sku: str) -> AsyncIterator[Load]:
    head = (
        "POST /api/v1/orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
        f"Authorization: {customer.authorized['Authorization']}\r\n"
    )
    argv = [
        sys.executable,
        "-m",
        "tests.support.load",
        str(urlsplit(shop.url).port),
        head,
        json.dumps(an_order_for(sku)),
    ]
    child = await asyncio.create_subprocess_exec(*argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield Load(child)
    child.stdin.close()
    await child.wait()


async def _memory(shop: RunningShop) -> dict[str, int]:
    processes = await shop.processes()
    return {name: psutil.Process(processes[name]["pid"]).memory_info().rss for name in PROCESSES}


async def _watched(shop: RunningShop, load: Load, probes: list[int], **phase: float) -> Figures:
    """A phase, in which probes ask once a second, each over a new connection; what they are answered is added."""
    running = asyncio.create_task(load.phase(**phase))
    while not running.done():
        async with httpx2.AsyncClient(base_url=shop.url, timeout=10, trust_env=False) as client:
            probes += [(await client.get(path)).status_code for path in ("/livez", "/readyz", "/health")]
        await asyncio.wait({running}, timeout=1)
    return await running


async def _answered_in(customer: Person, sku: str) -> float:
    began = time.perf_counter()
    await customer.ordered(sku)
    return time.perf_counter() - began


async def test_at_three_times_capacity_as_much_is_done_and_the_rest_is_told_to_come_again(
    shop: RunningShop, client: httpx2.AsyncClient, staff: Person
):
    # given
    sku = await a_product(staff, stock=1_000_000)
    crowd, guest = await a_customer(client), await a_customer(client)
    calm = median([await _answered_in(guest, sku) for _ in range(20)])
    peaks, floods, probes = [], [], []

    # when
    async with a_load(shop, crowd, sku) as load:
        warm = [await load.phase(clients=CLIENTS, seconds=EACH), await load.phase(rate=1_000.0, seconds=EACH)]
        before = await _memory(shop)
        while len(peaks) < ROUNDS or (_ratio(peaks, floods) < 0.9 and len(peaks) < AT_MOST):
            peaks.append(await _watched(shop, load, probes, clients=CLIENTS, seconds=EACH))
            rate = TIMES * peaks[-1]["goodput"]
            floods.append(await _watched(shop, load, probes, rate=rate, seconds=EACH))

        # then: it is itself again
        async def is_calm() -> bool:
            ready = (await client.get(f"{shop.url}/readyz")).status_code == 200
            return ready and await _answered_in(guest, sku) < max(5 * calm, 0.25)

        await eventually(is_calm, within=5)
    after = await _memory(shop)

    # and as much was done, the rest was told so, and nobody was left without an answer
    assert _ratio(peaks, floods) >= 0.9
    for phase in (*warm, *peaks, *floods):
        assert (phase["cut"], phase["unanswered"], phase["without_retry_after"]) == (0, 0, 0)
        assert set(phase["statuses"]) <= {"201", "429", "503"}
    assert all(flood["statuses"]["503"] > flood["taken"] / 2 for flood in floods)
    assert set(probes) == {200}

    # and no memory was taken for it, and what was accepted is confirmed in the end
    assert {name: after[name] < 1.2 * before[name] for name in after} == dict.fromkeys(after, True)
    accepted = sum(phase["taken"] for phase in (*warm, *peaks, *floods))
    await eventually(lambda: _are_confirmed(shop, crowd, accepted), within=120)


@asynccontextmanager
async def _half_open(shop: RunningShop, count: int) -> AsyncIterator[None]:
    """Connections that never bring a whole request: silent ones, with half a head, most with half a body."""
    address, writers = urlsplit(shop.url), []
    beginnings = (b"", b"POST /api/v1/orders HTTP/1.1\r\nhost: sh", *3 * (HALF_A_BODY,))
    for number in range(count):
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(beginnings[number % len(beginnings)])
        writers.append(writer)
    yield
    for writer in writers:
        writer.close()


async def test_five_hundred_half_open_connections_do_not_double_the_slowest_orders(
    shop: RunningShop, client: httpx2.AsyncClient, staff: Person
):
    sku, crowd = await a_product(staff, stock=1_000_000), await a_customer(client)
    slower: list[float] = []

    async with a_load(shop, crowd, sku) as load:
        await load.phase(rate=CALM, seconds=EACH)
        while len(slower) < ROUNDS or (median(slower) >= 2 and len(slower) < AT_MOST):
            alone = await load.phase(rate=CALM, seconds=EACH)
            async with _half_open(shop, HALF_OPEN):
                beside = await load.phase(rate=CALM, seconds=EACH)
            assert (beside["cut"], beside["unanswered"], set(beside["statuses"])) == (0, 0, {"201"})
            slower.append(beside["taken_ms"]["p99"] / alone["taken_ms"]["p99"])

    assert median(slower) < 2


def _ratio(peaks: list[Figures], floods: list[Figures]) -> float:
    """Of what was taken for each second of a processor that the load generator, which sends thrice as much, left."""
    return median(_per_second_left(flood) / _per_second_left(peak) for peak, flood in zip(peaks, floods, strict=True))


def _per_second_left(phase: Figures) -> float:
    processors = psutil.cpu_count() or 1
    return phase["taken"] / (processors * phase["seconds"] - phase["processor_seconds"])


async def _are_confirmed(shop: RunningShop, customer: Person, count: int) -> bool:
    statement = """
        SELECT o.status, count(*) FROM order_service.orders o JOIN auth_service.users u ON u.id = o.customer_id
        WHERE u.email = $1 GROUP BY o.status
    """
    return {row["status"]: row["count"] for row in await shop.rows(statement, customer.email)} == {"confirmed": count}
