"""The whole shop as processes of its own, started and ended as a person would, and ways to hurt it.

Where a Docker engine answers, its PostgreSQL and its RabbitMQ are containers, as a person's own servers would be.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import psutil

from ordermill import accounts, control
from ordermill.ports import find_free, start_of
from ordermill.state import State
from tests.support.containers import Contained, an_engine_answers
from tests.support.eventually import eventually

STARTS_WITHIN = 120.0
NAMED = {"postgres": "ORDERMILL_DATABASE_URL", "rabbitmq": "ORDERMILL_BROKER_URL"}
BRISK = {
    "ORDERMILL_SIMULATOR_SCALE": "0.2",  # a slow card takes 1.2 s, an answer that was lost is found after 2.4 s
    "ORDERMILL_PROVIDER_TIMEOUT": "PT2S",
}


class RunningShop:
    """A shop that runs: where it is reached, its processes, its database as the owner, its servers in containers."""

    def __init__(
        self,
        home: Path,
        layout: str,
        settings: Mapping[str, str],
        servers: Mapping[str, Contained] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self._options = ("--layout", layout, *options)
        self.url = ""
        self.mailbox = ""
        self.mailbox_key = ""
        self.database_url = ""
        self.servers = servers or {}
        named = {variable: self.servers[kind].url for kind, variable in NAMED.items() if kind in self.servers}
        self._environment = {**os.environ, "ORDERMILL_HOME": str(home), **BRISK, **named, **settings}

    async def up(self) -> None:
        port = find_free(None, start_of(self.home), set())
        await self.command("up", "--detach", *self._options, "--port", str(port))
        told = await self.ps()
        self.url, self.mailbox, self.database_url = told["gateway"], told["mailbox"], told["database_url"]
        self.mailbox_key = told["mailbox_link"].partition("?key=")[2]

    async def down(self) -> None:
        await self.command("down")

    async def command(self, *words: str) -> str:
        """What an `ordermill` command says on stdout. Raises RuntimeError with its stderr when it fails."""
        argv = [sys.executable, "-m", "ordermill", *words]
        child = await asyncio.create_subprocess_exec(
            *argv, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await asyncio.wait_for(child.communicate(), STARTS_WITHIN)
        if child.returncode:
            message = f"{' '.join(argv)} ended with {child.returncode}: {err.decode()}"
            raise RuntimeError(message)
        return out.decode()

    async def ps(self) -> dict[str, Any]:
        """What `ps -o json` prints, asked for as that command does."""
        return await control.ask(State(self.home), "ps")

    async def processes(self) -> dict[str, dict[str, Any]]:
        return {process["name"]: process for process in (await self.ps())["processes"]}

    async def signal(self, name: str, number: signal.Signals) -> int:
        """Sends a signal to one of the shop's processes; says which pid that was."""
        pid = int((await self.processes())[name]["pid"])
        os.kill(pid, number)
        return pid

    async def kill(self, name: str) -> int:
        """Kills a process, or a server in a container; says which pid that was, where it has one."""
        if name in self.servers:
            await self.servers[name].kill()
            return 0
        return await self.signal(name, signal.SIGKILL)

    async def freeze(self, name: str) -> None:
        if name in self.servers:
            await self.servers[name].freeze()
        else:
            await self.signal(name, signal.SIGSTOP)

    async def thaw(self, name: str) -> None:
        if name in self.servers:
            await self.servers[name].thaw()
        else:
            await self.signal(name, signal.SIGCONT)

    async def die(self) -> None:
        """As when the power is cut: everything ends at once, the servers and the supervisor, too."""
        server = psutil.Process((await self.processes())["postgres"]["pid"])
        supervisor = server.parent()
        assert supervisor  # it holds the socket that has just answered
        supervisor.suspend()
        for process in (*supervisor.children(recursive=True), supervisor):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    async def back(self, name: str, killed: int, within: float) -> None:
        """Returns when a killed process is there again, under another pid, and ready."""

        if name in self.servers:
            return await asyncio.wait_for(self.servers[name].answering(), within)

        async def is_back() -> bool:
            process = (await self.processes())[name]
            return process["status"] == "ready" and process["pid"] not in {None, killed}

        return await eventually(is_back, within=within)

    def secret(self, name: str) -> str:
        return str(json.loads((self.home / "secrets.json").read_text())[name])

    @property
    def auditor_url(self) -> str:
        """The database, for the role that reads everything and writes nothing."""
        place = self.database_url.rpartition("@")[2]
        return f"postgresql://auditor:{self.secret('auditor.database')}@{place}"

    async def mails(self, address: str) -> list[dict[str, Any]]:
        return await mails_at(self.mailbox, self.mailbox_key, address)

    async def rows(self, statement: str, *arguments: Any) -> list[Any]:
        """Rows of any schema: the database's owner may look everywhere."""
        connection = await asyncpg.connect(self.database_url)
        try:
            found: list[Any] = await connection.fetch(statement, *arguments)
        finally:
            await connection.close()
        return found

    async def charged(self, order_id: UUID) -> list[int]:
        """What the provider's own books hold as taken for an order, one amount a charge."""
        statement = "SELECT amount FROM provider.charges WHERE order_id = $1 AND status = 'captured'"
        return [row["amount"] for row in await self.rows(statement, order_id)]

    async def net(self, order_id: UUID) -> int:
        """What the customer holds as charged for an order, in the provider's own books: taken less given back."""
        statement = """
            SELECT coalesce((SELECT sum(amount) FROM provider.charges WHERE order_id = $1 AND status = 'captured'), 0)
                 - coalesce((SELECT sum(amount) FROM provider.refunds WHERE order_id = $1 AND status = 'succeeded'), 0)
        """
        [(amount,)] = await self.rows(statement, order_id)
        return int(amount)


async def mails_at(mailbox: str, key: str, address: str) -> list[dict[str, Any]]:
    """The mails to an address, the newest first, as a mailbox shows them to whoever has its key, page by page."""
    headers, found = {"Authorization": f"Bearer {key}"}, list[dict[str, Any]]()
    async with httpx2.AsyncClient(base_url=mailbox, headers=headers, trust_env=False) as client:
        page = await client.get("/messages", params={"to": address})
        found += page.json()
        while older := page.links.get("next"):
            page = await client.get(older["url"])
            found += page.json()
    return found


@asynccontextmanager
async def a_running_shop(
    home: Path, layout: str = "packed", *, own_servers: bool = False, options: Sequence[str] = (), **settings: str
) -> AsyncIterator[RunningShop]:
    """A shop of its own, ready; it ends with the block. ``own_servers``: `up` starts them, engine or not.

    ``options`` are more words for `up`.
    """
    async with _servers(home, contained=an_engine_answers() and not own_servers) as servers:
        shop = RunningShop(home, layout, settings, servers, options)
        try:
            await shop.up()
            try:
                yield shop
            finally:
                await shop.down()
        finally:
            accounts.remove(home / "postgres")


@asynccontextmanager
async def _servers(home: Path, *, contained: bool) -> AsyncIterator[dict[str, Contained]]:
    state = State.open(home)
    servers = {kind: Contained(kind, state, durable=True) for kind in NAMED} if contained else {}
    try:
        await asyncio.gather(*(server.start() for server in servers.values()))
        yield servers
    finally:
        for server in servers.values():
            server.stop()
