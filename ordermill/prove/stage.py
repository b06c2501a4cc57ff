"""The shop that is hurt: split, fresh, in a folder of its own, its servers reached through lines, its limits brisk."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from ordermill import control, launch, plan
from ordermill.erlang import ensure_installation
from ordermill.errors import Failure
from ordermill.ports import HOST, find_free, start_of
from ordermill.process import Running
from ordermill.prove.line import Line
from ordermill.shop import Progress, Setup, Shop
from ordermill.state import State

SERVERS = ("postgres", "rabbitmq")
# A slow card takes 1.2 s, an answer that was lost is found after 2.4 s; a declined order waits 20 s for its customer.
BRISK = {
    "ORDERMILL_SIMULATOR_SCALE": "0.2",
    "ORDERMILL_PROVIDER_TIMEOUT": "PT2S",
    "ORDERMILL_LEASE": "PT10S",
    "ORDERMILL_ORDER_SERVICE_PAY_BY": "PT20S",
}
LOOKS_EACH = 0.05


class ThroughLines:
    """The steps between the servers and the services; what the services are told leads through the lines."""

    def __init__(self, steps: Setup) -> None:
        self._steps = steps
        self.definitions = steps.definitions
        self.prepare = steps.prepare
        self.topology = steps.topology
        self.seed = steps.seed

    def environment(self, state: State) -> dict[str, str]:
        told = self._steps.environment(state)
        for server in SERVERS:
            near, far = (f"{HOST}:{state.port(name)}/" for name in (line_of(server), server))
            told = {name: value.replace(far, near) for name, value in told.items()}
        return {**told, **BRISK}


def line_of(server: str) -> str:
    """The name of the port that the line to a server listens on."""
    return f"{server}.line"


class Stage:
    """A running shop, and its parts by name."""

    def __init__(self, shop: Shop, lines: dict[str, Line]) -> None:
        self.state = shop.state
        self.lines = lines
        self.note = shop.progress
        self._shop = shop

    @property
    def ours(self) -> list[str]:
        """The names of the processes that are no servers."""
        return sorted(name for name, running in self._processes.items() if running.spec.listed and name not in SERVERS)

    @property
    def restarts(self) -> dict[str, int]:
        """How often each process came back."""
        return {name: running.restarts for name, running in sorted(self._processes.items()) if running.restarts}

    @property
    def _processes(self) -> dict[str, Running]:
        return self._shop.supervisor.processes

    def process(self, name: str) -> Running:
        return self._shop.supervisor.find(name)

    def is_ready(self, name: str) -> bool:
        return self.process(name).became_ready.is_set()

    async def until_ready(self, name: str, other_than: int | None = None) -> None:
        """Returns when a process answers, and is not the one of that pid any more."""
        while not await self._is_back(name, other_than):  # noqa: ASYNC110 -- another process announces nothing
            await asyncio.sleep(LOOKS_EACH)

    async def _is_back(self, name: str, other_than: int | None) -> bool:
        running = self.process(name)
        return running.pid not in {None, other_than} and self.is_ready(name) and await running.spec.ready()

    async def until_all_ready(self) -> None:
        await asyncio.gather(*(self.until_ready(name) for name in (*SERVERS, *self.ours)))

    def rabbitmqctl(self) -> tuple[Path, Mapping[str, str]]:
        """The program that commands the broker, and its environment."""
        return ensure_installation(self._shop.progress).home / "sbin" / "rabbitmqctl", self.process("rabbitmq").spec.env

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the owner, past the line."""
        connection = await asyncpg.connect(self.state.database_url, timeout=5, command_timeout=30)
        try:
            yield connection
        finally:
            connection.terminate()


@asynccontextmanager
async def a_stage(home: Path, note: Callable[[str], None]) -> AsyncIterator[Stage]:
    """A fresh shop, ready. It ends with the block; its folder stays."""
    _refuse_foreign_servers()
    state = State.open(home, "split")
    with state.lock():
        launch.forget(state)
        plan.choose_ports(state, find_free(None, start_of(home), set()))
        state.keep_layout()
        lines = {server: Line(state.port(line_of(server)), state.port(server)) for server in SERVERS}
        shop = Shop(state, Progress(time.monotonic(), note), lambda: ThroughLines(launch.load_setup()))
        async with lines["postgres"], lines["rabbitmq"], control.serving(state, {"ps": shop.describe}):
            try:
                await shop.start()
                yield Stage(shop, lines)
            finally:
                await shop.supervisor.stop()
                plan.nursery_socket(state).unlink(missing_ok=True)


def _refuse_foreign_servers() -> None:
    given = [name for name in ("ORDERMILL_DATABASE_URL", "ORDERMILL_BROKER_URL") if os.environ.get(name)]
    if given:
        cause = "It kills the servers that it uses, so it uses only its own."
        raise Failure(cause, f"Leave out {' and '.join(given)}.")
