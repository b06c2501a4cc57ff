"""One more process beside those of a running shop, started by the test itself, which sees its exit code."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from ordermill import setup
from ordermill.ports import find_free, start_of
from ordermill.probes import answers_ok
from ordermill.state import State
from tests.support.cable import Cable
from tests.support.eventually import eventually
from tests.support.running_shop import BRISK, RunningShop

READY_WITHIN = 60.0
NOBODY: Mapping[str, str] = {}


class Replica:
    """A process of ours; `broker` and `database` are the cables to the shop's servers."""

    def __init__(self, port: int, broker: Cable, database: Cable) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.broker = broker
        self.database = database
        self.is_ready = answers_ok(port, "/readyz")
        self.is_alive = answers_ok(port, "/livez")
        self._child: asyncio.subprocess.Process

    async def start(self, words: Sequence[str], environment: dict[str, str], log: Path) -> None:
        argv = [sys.executable, "-m", "ordermill", *words]
        with log.open("ab") as output:
            self._child = await asyncio.create_subprocess_exec(
                *argv, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    async def ready(self) -> "Replica":
        await eventually(self.is_ready, within=READY_WITHIN)
        return self

    def terminate(self) -> None:
        self._child.send_signal(signal.SIGTERM)

    async def ended(self) -> tuple[int, float]:
        """The exit code, and how many seconds from now it took."""
        began = time.monotonic()
        code = await asyncio.wait_for(self._child.wait(), 30)
        return code, time.monotonic() - began

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._child.kill()
        await self._child.wait()


def _told(shop: RunningShop, cables: dict[str, Cable], peers: Mapping[str, str]) -> dict[str, str]:
    """What a process of the shop is told, with the servers at the far end of cables."""
    told = setup.environment(State.attach(shop.home))
    for name, value in told.items():
        if name.endswith(("BROKER_URL", "DATABASE_URL")):
            told[name] = cables["broker" if name.endswith("BROKER_URL") else "database"].along(value)
    return {**os.environ, **BRISK, **told, "ORDERMILL_PEERS": json.dumps(dict(peers))}


@asynccontextmanager
async def a_replica(shop: RunningShop, *words: str, peers: Mapping[str, str] = NOBODY) -> AsyncIterator[Replica]:
    """A process of services that is started with these words; not yet ready. It ends with the block.

    `peers` are the addresses of services that it does not host.
    """
    servers = await shop.ps()
    port = find_free(None, start_of(shop.home) + 500, set())
    async with Cable(servers["broker_url"]) as broker, Cable(servers["database_url"]) as database:
        replica = Replica(port, broker, database)
        told = _told(shop, {"broker": broker, "database": database}, peers)
        await replica.start(("run", *words, "--port", str(port)), told, shop.home / "log" / f"replica-{port}.log")
        try:
            yield replica
        finally:
            await replica.kill()
