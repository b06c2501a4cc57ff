"""A shop of its own in a folder of its own, for commands that do to a shop what nobody would do to the one in use."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from ordermill import accounts, control, launch, named, plan, rabbitmq
from ordermill.erlang import ensure_installation
from ordermill.errors import Exit, Failure
from ordermill.ports import find_free, held, start_of
from ordermill.process import Running
from ordermill.shop import Setup, Shop
from ordermill.state import Layout, State, server_names
from ordermill.told import variables

LOOKS_EACH = 0.05


class Steps:
    """The steps between the servers and the services, where the services are told something else."""

    def __init__(self, steps: Setup, change: Callable[[State, dict[str, str]], dict[str, str]]) -> None:
        self._steps = steps
        self._change = change
        self.definitions = steps.definitions
        self.prepare = steps.prepare
        self.topology = steps.topology
        self.seed = steps.seed

    def environment(self, state: State) -> dict[str, str]:
        return self._change(state, self._steps.environment(state))


class Stage:
    """A running shop, and its parts by name."""

    def __init__(self, shop: Shop) -> None:
        self.state = shop.state
        self.note = shop.progress
        self.shop = shop

    @property
    def servers(self) -> list[str]:
        """The names of PostgreSQL and of each node of RabbitMQ."""
        return server_names(self.state.broker_nodes)

    @property
    def ours(self) -> list[str]:
        """The names of the processes that are no servers."""
        listed = {name for name, running in self.processes.items() if running.spec.listed}
        return sorted(listed - {*self.servers})

    @property
    def restarts(self) -> dict[str, int]:
        """How often each process came back."""
        return {name: running.restarts for name, running in sorted(self.processes.items()) if running.restarts}

    @property
    def processes(self) -> dict[str, Running]:
        return self.shop.supervisor.processes

    def process(self, name: str) -> Running:
        return self.shop.supervisor.find(name)

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
        await asyncio.gather(*(self.until_ready(name) for name in (*self.servers, *self.ours)))

    async def control_broker(self, *words: str, node: str = "rabbitmq") -> str:
        """What a node of RabbitMQ says to a command of its own. Raises Failure with what it says against it."""
        try:
            return await rabbitmq.control(ensure_installation(self.note), self.process(node).spec.env, *words)
        except RuntimeError as against:
            cause = f"rabbitmqctl {words[0]} failed: {against}"
            raise Failure(cause, f"Read {self.state.log(node)}", Exit.STEP_FAILED) from None

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the owner."""
        connection = await asyncpg.connect(self.state.database_url, timeout=5, command_timeout=30)
        try:
            yield connection
        finally:
            connection.terminate()


@contextmanager
def a_fresh_place(home: Path, layout: Layout, why: str, broker_nodes: int = 1) -> Iterator[State]:
    """Where a fresh shop starts; its folder stays. Raises Failure with the reason when it is to use other servers."""
    _refuse_foreign_servers(why)
    state = State.open(home, layout)
    with state.lock():
        launch.forget(state)
        state.keep_broker_nodes(broker_nodes)
        plan.choose_ports(state, find_free(None, start_of(home), set()))
        state.keep_layout()
        with held(plan.held_ports(state)):
            yield state


@asynccontextmanager
async def at_work(shop: Shop) -> AsyncIterator[None]:
    """The shop runs, and ends with the block."""
    async with control.serving(shop.state, {"ps": shop.describe}):
        try:
            await shop.start()
            yield
        finally:
            await shop.supervisor.stop()
            plan.nursery_socket(shop.state).unlink(missing_ok=True)


def remove_data(home: Path) -> None:
    """What the servers kept in that folder; logs and what was found out stay."""
    for folder in ("postgres", "sockets", "rabbitmq", "mailbox"):
        accounts.remove(home / folder)


def _refuse_foreign_servers(why: str) -> None:
    given = [name for name in named.SETTINGS if variables().get(name)]
    if given:
        raise Failure(why, f"Leave out {' and '.join(given)}.")
