"""A shop of two versions: the previous one's schemas, topology and processes, and this one's beside them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE
from typing import Any

import asyncpg

from ordermill import plan, setup, sockets
from ordermill.ports import HOST, find_free, start_of
from ordermill.process import Spec
from ordermill.prove.line import Line
from ordermill.services import GATEWAY
from ordermill.shop import Progress, Shop
from ordermill.stage import a_fresh_place, at_work, remove_data
from ordermill.state import State
from tests.support.previous import ROOT, unpacked

PROCESSES = ("shop.api", "shop.worker", "shop2.worker")
STEP_WITHIN = 60
LINE = "postgres.line"


class Version:
    """One version's code, and what it is told; ``ports`` keeps those of its processes, ``url`` is its own gateway's."""

    def __init__(self, code: Path, ports: State, told: Mapping[str, str]) -> None:
        self.url = ports.url(GATEWAY)
        self._code = code
        self._ports = ports
        # What is run of a version is not measured: the previous one's files are gone when somebody asks for them.
        ours = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        self._told = {**ours, **told, "PYTHONPATH": str(code)}

    async def command(self, *words: str) -> str:
        """What a command of this version says on stdout. Raises RuntimeError with its stderr when it fails."""
        argv = (sys.executable, "-m", "ordermill", *words)
        child = await asyncio.create_subprocess_exec(*argv, cwd=self._code, env=self._told, stdout=PIPE, stderr=PIPE)
        out, err = await asyncio.wait_for(child.communicate(), STEP_WITHIN)
        if child.returncode:
            message = f"{' '.join(words)} of {self._code} ended with {child.returncode}: {err.decode()}"
            raise RuntimeError(message)
        return out.decode()

    def processes(self, mark: str) -> list[Spec]:
        """Its edges and workers. They listen by themselves: what we hand over, the other version may not know."""
        specs = [spec for spec in plan.edges_and_workers(self._ports, self._told) if spec.name in PROCESSES]
        env = {**self._told, "PYTHONUNBUFFERED": "1"}
        own = {"cwd": self._code, "env": env, "nursery": None, "listens": None}
        return [replace(spec, name=f"{mark}{spec.name}", **own) for spec in specs]


class Steps:
    """What a start does between the servers and the processes, done by the previous version's own commands."""

    def __init__(self, previous: Version, told: dict[str, str]) -> None:
        self._previous = previous
        self._told = told
        self.definitions = setup.definitions

    def environment(self, _state: State) -> dict[str, str]:
        return self._told

    async def prepare(self, _state: State, _on_progress: Callable[[str], None]) -> None:
        await self._previous.command("initdb")

    async def topology(self, _state: State) -> bool:
        await self._previous.command("topology")
        return True

    async def seed(self, _state: State) -> None:
        await self._previous.command("seed", "--products", "1")


class TwoVersions:
    """A running shop of the previous version, to which this one is added, and from which the previous one is taken."""

    def __init__(self, shop: Shop, previous: Version, next_: Version) -> None:
        self.previous = previous
        self.next = next_
        self.secret = shop.state.secret
        self._database_url = shop.state.database_url
        self._supervisor = shop.supervisor

    async def expand(self) -> None:
        """The schemas and the topology of this version, while the previous one works; then its processes beside."""
        await self.next.command("initdb")
        await self.next.command("topology")
        started = [await self._supervisor.start(spec) for spec in self.next.processes("")]
        await asyncio.gather(*map(self._supervisor.wait_ready, started))

    async def contract(self) -> None:
        """The previous version's processes end in good order."""
        names = [f"previous {name}" for name in PROCESSES]
        await asyncio.gather(*map(self._supervisor.put_aside, names))

    async def statuses(self) -> dict[str, int]:
        """How many orders there are in each status."""
        rows = await self._rows("SELECT status, count(*) FROM order_service.orders GROUP BY 1")
        return {row["status"]: row["count"] for row in rows}

    async def mails_sent(self) -> int:
        """How many orders somebody got a mail of."""
        statement = "SELECT count(DISTINCT order_id) FROM notification_service.notifications WHERE status = 'sent'"
        [(count,)] = await self._rows(statement)
        return int(count)

    async def _rows(self, statement: str) -> list[Any]:
        connection = await asyncpg.connect(self._database_url)
        try:
            found: list[Any] = await connection.fetch(statement)
        finally:
            await connection.close()
        return found

    def restarts(self) -> Mapping[str, int]:
        return {name: running.restarts for name, running in self._supervisor.processes.items() if running.restarts}


def _told(state: State) -> dict[str, str]:
    """Every setting, and with them every secret, before two processes make one of them at once."""
    setup.definitions(state)
    state.secret("service_token")  # which services showed each other before
    for role in ("customer", "staff", "admin"):
        state.demo_password(role)
    database = state.database_url.replace(sockets.place(state.sockets), f"{HOST}:{state.port(LINE)}")
    urls = {"ORDERMILL_DATABASE_URL": database, "ORDERMILL_BROKER_URL": state.broker_url}
    return {**setup.environment(state), **urls, "ORDERMILL_HOME": str(state.root)}


@asynccontextmanager
async def a_shop_of_two_versions(home: Path) -> AsyncIterator[TwoVersions]:
    """The previous version at work, with servers of its own; everything ends with the block.

    Two versions have a database that is reached by a port, as that of whoever upgrades without stopping is.
    """
    with a_fresh_place(home, "packed", "This shop has servers of its own.") as state:
        told = _told(state)
        # Ports that nobody holds: each listens by itself, and the previous one cannot beside us.
        before, beside = (State.open(home / name) for name in ("before", "next"))
        for each in (before, beside):
            plan.choose_ports(each, find_free(None, start_of(each.root), set()))
        previous, next_ = Version(unpacked(home / "previous"), before, told), Version(ROOT, beside, told)

        def ours(_state: State, _told: Mapping[str, str]) -> Sequence[Spec]:
            return previous.processes("previous ")

        shop = Shop(state, Progress(0, _silent), lambda: Steps(previous, told), ours, forks=False)
        try:
            async with Line(state.port(LINE), sockets.socket_in(state.sockets)), at_work(shop):
                yield TwoVersions(shop, previous, next_)
        finally:
            remove_data(home)


def _silent(_line: str) -> Any:
    """Nobody watches."""
