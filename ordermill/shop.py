"""The whole shop of one checkout: servers first, then the steps that set them up, then our own processes."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from ordermill import named, plan
from ordermill.cluster import Cluster
from ordermill.erlang import ensure_installation
from ordermill.errors import Exit, Failure
from ordermill.postgres import Postgres
from ordermill.process import Running, Spec
from ordermill.services import GATEWAY
from ordermill.state import State
from ordermill.supervisor import Supervisor
from ordermill.told import variables

SETTLED_AFTER = 1.5

Plan = Callable[[State, Mapping[str, str]], Sequence[Spec]]


class Setup(Protocol):
    """The steps between the servers and the services, and what the services are told."""

    def environment(self, state: State) -> dict[str, str]: ...
    def definitions(self, state: State) -> dict[str, Any]: ...
    async def prepare(self, state: State, on_progress: Callable[[str], None]) -> None: ...
    async def topology(self, state: State) -> bool: ...
    async def seed(self, state: State) -> None: ...


@dataclass(frozen=True)
class Progress:
    """Tells a person how far the start is, with the seconds since it began."""

    began: float
    line: Callable[[str], None]

    def __call__(self, text: str) -> None:
        self.line(f"{time.monotonic() - self.began:6.1f} s  {text}")


class Shop:
    """What `up` runs. The pieces start as soon as what they need is there, not one after the other."""

    setup: Setup

    def __init__(
        self,
        state: State,
        progress: Progress,
        load: Callable[[], Setup],
        ours: Plan = plan.edges_and_workers,
        *,
        forks: bool = plan.FORKS,
    ) -> None:
        self.state = state
        self.load = load
        self.progress = progress
        self.ours = ours
        self.forks = forks
        self.supervisor = Supervisor(progress)

    async def start(self) -> None:
        """Start everything; returns when everything is ready. Raises Failure with the cause and the mend."""
        async with _Steps() as steps:
            database = asyncio.create_task(self._database())
            steps.add(database)
            nursery = await self.supervisor.start(plan.nursery(self.state)) if self.forks else None
            self.setup = await asyncio.to_thread(self.load)
            told = self.setup.environment(self.state)
            is_named = variables().get(named.BROKER)
            if not is_named:
                steps.run(self._broker())
            steps.run(self._until_ready(await self.supervisor.start(plan.mailbox(self.state, told))))
            await database
            await self._step("preparing the database", self.setup.prepare(self.state, self._detail), named.DATABASE)
            if is_named:  # one that answers at once: the topology looks into the schemas
                steps.run(self._step("topology of the broker", self.setup.topology(self.state), named.BROKER))
            steps.run(self._step("demo data", self.setup.seed(self.state), named.DATABASE))
            if nursery:
                await self.supervisor.wait_ready(nursery)
            for spec in self.ours(self.state, told):
                steps.run(self._until_ready(await self.supervisor.start(spec)))

    async def describe(self) -> dict[str, Any]:
        """What `ps` prints."""
        return {
            "gateway": self.state.url(GATEWAY),
            "layout": self.state.layout,
            "database_url": self.state.database_url,
            "broker_url": self.state.broker_url,
            "mailbox": self.state.url("mailbox.http"),
            "mailbox_link": f"{self.state.url('mailbox.http')}/?key={self.state.secret('mailbox_key')}",
            "processes": await self.supervisor.describe(),
        }

    async def _database(self) -> None:
        if variables().get(named.DATABASE):
            return self.progress(f"PostgreSQL is the one that {named.DATABASE} names")
        state = self.state
        place, password = state.sockets, state.secret("postgres")
        server = Postgres(state.root / "postgres", state.log("postgres"), place, password, archive=state.archive)
        spec = await asyncio.to_thread(server.prepare)
        return await self._start(spec)

    async def _broker(self) -> None:
        installed = await asyncio.to_thread(ensure_installation, self.progress)
        definitions = self.setup.definitions(self.state)
        epmd, nodes = Cluster(self.state).prepare(installed, os.environ, definitions, self._topology)
        await self.supervisor.start_ready(epmd)
        await asyncio.gather(*(self._start(node) for node in nodes))

    async def _start(self, spec: Spec) -> None:
        await self._until_ready(await self.supervisor.start(spec))

    async def _topology(self) -> None:
        """Declares the topology after each start of the broker, since it may have lost its data.

        A node that is killed within a second after its first quorum queue was made loses that queue for ever
        (RabbitMQ 3.10 writes their directory late), so it counts as ready only when that second is over.
        """
        if await self.setup.topology(self.state):
            await asyncio.sleep(SETTLED_AFTER)

    async def _until_ready(self, running: Running) -> None:
        await self.supervisor.wait_ready(running)
        self.progress(f"{running.spec.name} is ready")

    async def _step(self, name: str, step: Awaitable[object], server: str) -> None:
        """``server``: the setting that may name the server that this is done at."""
        try:
            await step
        except Failure:
            raise
        except Exception as error:
            cause = f"The step «{name}» failed: {type(error).__name__}: {error}"
            ours = "Mend the cause and start again; `ordermill reset` begins with an empty shop."
            raise Failure(cause, named.mend(server) or ours, Exit.STEP_FAILED) from error
        self.progress(name)

    def _detail(self, text: str) -> None:
        self.progress(f"  {text}")


class _Steps:
    """Steps that run side by side; the first that fails ends the others and is raised as it is."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, task: asyncio.Task[None]) -> None:
        self._tasks.append(task)

    def run(self, step: Coroutine[Any, Any, None]) -> None:
        self.add(asyncio.create_task(step))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if not error:
                await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
