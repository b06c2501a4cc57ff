"""Another way to take the same orders, measured beside the shop: on the same servers, by the same load generator.

It is started with `python FOLDER/serve.py` and told in its environment (USUAL_…) where a database and a virtual host of
its own are, whose tokens it takes, and what is on sale. It prints `{"processes": {name: pid}}` when it serves.
"""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from chassis.broker import nodes
from chassis.settings import ServiceSettings
from ordermill.bench import cpu
from ordermill.bench.figures import differences, per, ratio
from ordermill.bench.generator import Generator, a_generator
from ordermill.bench.orders import Shelf
from ordermill.bench.people import Customers
from ordermill.errors import Exit, Failure
from ordermill.ours import appending, write
from ordermill.process import die_with_parent, python_path
from ordermill.stage import Stage
from ordermill.state import checkout

NAME = "usual_way"
PORT = "beside"
WARM_UP = 100
STARTS_WITHIN, ENDS_WITHIN = 120.0, 20.0
LOOKS_EACH = 0.05
CONFIRMED = "SELECT count(*) FROM orders WHERE status = 'confirmed'"
Figures = dict[str, Any]


@dataclass(frozen=True)
class Beside:
    """What is measured beside the shop, and how."""

    folder: Path
    orders: int
    clients: int
    patience: float


async def measured(
    beside: Beside, stage: Stage, shelves: Sequence[Shelf], people: Customers, bodies: Sequence[str]
) -> Figures:
    """Figures of so many orders, from the first one sent until the last one is confirmed."""
    port, url = stage.state.port(PORT), stage.state.database_url.rpartition("/")[0] + f"/{NAME}"
    async with (
        _serving(beside.folder, stage, url, shelves) as processes,
        a_generator(port, people, bodies, "") as generator,
    ):
        counting = await asyncpg.connect(url)
        try:
            roots = {**_servers(stage), **processes, "load generator": generator.pid}
            return await _Run(beside, counting, generator, roots).figures()
        finally:
            counting.terminate()


class _Run:
    """Orders on their way through it."""

    def __init__(
        self, beside: Beside, database: asyncpg.Connection, generator: Generator, roots: Mapping[str, int]
    ) -> None:
        self._beside = beside
        self._database = database
        self._generator = generator
        self._roots = roots

    async def figures(self) -> Figures:
        await self._settled(min(WARM_UP, self._beside.orders), 0)
        already = await self._database.fetchval(CONFIRMED)
        before, machine = cpu.spent(self._roots), cpu.machine_times()
        tally, settled = await self._settled(self._beside.orders, already)
        spent, seconds = differences(cpu.spent(self._roots), before), settled - tally["began"]
        orders = tally["accepted"]
        return {
            "name": self._beside.folder.name,
            **{name: tally[name] for name in ("accepted", "statuses", "cut", "unanswered", "post_ms")},
            "outcome": {"confirmed": await self._database.fetchval(CONFIRMED) - already},
            "seconds": {"accepting": round(tally["ended"] - tally["began"], 2), "settled": round(seconds, 2)},
            "accepted_per_second": round(orders / (tally["ended"] - tally["began"]), 1),
            "confirmed_per_second": round(orders / seconds, 1),
            "cpu_us_per_order": per(spent, orders, 1e6),
            "cpu_us_per_order_total": round(1e6 * sum(spent.values()) / orders, 1),
            "noise": cpu.noise(differences(cpu.machine_times(), machine), sum(spent.values())),
        }

    async def _settled(self, orders: int, already: int) -> tuple[Figures, float]:
        """What became of so many orders, and when the last one was confirmed."""
        tally = await self._generator.phase(_nothing, orders=orders, clients=self._beside.clients)
        seen, since = -1, time.monotonic()
        while (confirmed := await self._database.fetchval(CONFIRMED)) < already + tally["accepted"]:
            if confirmed != seen:
                seen, since = confirmed, time.monotonic()
            if time.monotonic() > since + self._beside.patience:
                cause = f"{self._beside.folder.name} confirmed {confirmed - already} of {tally['accepted']} orders."
                raise Failure(cause, f"Read its log {NAME} in the folder log of the bench's home.", Exit.TIMED_OUT)
            await asyncio.sleep(LOOKS_EACH)
        return tally, time.monotonic()


def _nothing(_accepted: int) -> None:
    """It is soon over."""


def _servers(stage: Stage) -> dict[str, int]:
    names = {"postgres": "PostgreSQL", "rabbitmq": "RabbitMQ"}
    return {said: pid for name, said in names.items() if (pid := stage.process(name).pid)}


@asynccontextmanager
async def _serving(folder: Path, stage: Stage, url: str, shelves: Sequence[Shelf]) -> AsyncIterator[dict[str, int]]:
    """The processes of the other way, ready; they end with the block."""
    async with stage.database() as database:
        await database.execute(f"CREATE DATABASE {NAME}")
    await stage.control_broker("add_vhost", NAME)
    await stage.control_broker("set_permissions", "-p", NAME, "ordermill", ".*", ".*", ".*")
    log = stage.state.log(NAME)
    with appending(log) as output:
        child = await asyncio.create_subprocess_exec(
            sys.executable, folder / "serve.py",
            env=_told(stage, url, shelves), cwd=checkout(), stdin=DEVNULL, stdout=PIPE, stderr=output,
            start_new_session=True, preexec_fn=die_with_parent(signal.SIGTERM),
        )  # fmt: skip
    try:
        yield await _processes(child, folder, log)
    finally:
        await _end(child)


def _told(stage: Stage, url: str, shelves: Sequence[Shelf]) -> dict[str, str]:
    state, products = stage.state, stage.state.root / f"{NAME}.json"
    write(products, {shelf.sku: {"price": shelf.price, "stock": shelf.stock} for shelf in shelves})
    return {
        **os.environ,
        "PYTHONPATH": python_path(),
        "USUAL_DATABASE_URL": url,
        "USUAL_BROKER_URL": f"{nodes(state.broker_url)[0]}{NAME}",
        "USUAL_JWKS_URL": f"{state.url('gateway')}/.well-known/jwks.json",
        "USUAL_ISSUER": str(ServiceSettings.model_fields["issuer"].default),
        "USUAL_PORT": str(state.port(PORT)),
        "USUAL_PRODUCTS": str(products),
    }


async def _processes(child: Process, folder: Path, log: Path) -> dict[str, int]:
    line = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(STARTS_WITHIN):
            line = await child.stdout.readline() if child.stdout else b""
    try:
        told: dict[str, int] = json.loads(line)["processes"]
    except (ValueError, KeyError, TypeError):
        cause = f"{folder / 'serve.py'} did not say which processes serve."
        raise Failure(cause, f"Read {log}", Exit.STEP_FAILED) from None
    return {f"{folder.name} {name}": pid for name, pid in told.items()}


async def _end(child: Process) -> None:
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGTERM)
    with suppress(TimeoutError):
        await asyncio.wait_for(child.wait(), ENDS_WITHIN)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()


def compared(ours: Figures, theirs: Figures) -> dict[str, float | None]:
    """How many times as many orders a second, and how many times less processor time an order."""
    return {
        "orders_per_second": ratio(ours["confirmed_per_second"], theirs["confirmed_per_second"]),
        "cpu_per_order": ratio(theirs["cpu_us_per_order_total"], ours["cpu_us_per_order_total"]),
    }
