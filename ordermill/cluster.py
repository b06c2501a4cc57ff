"""The private broker: one node, or the nodes of a cluster, how they find each other, and how many they are."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ordermill import aside
from ordermill.erlang import Installation
from ordermill.errors import Failure
from ordermill.probes import rabbitmq_answers
from ordermill.process import Spec
from ordermill.rabbitmq import RabbitMQ, control
from ordermill.state import State, broker_names
from ordermill.told import variables

LOOKS_EACH = 0.1
ALL_WITHIN = 10
Step = Callable[[], Awaitable[None]]


class Cluster:
    """The nodes of this checkout's broker."""

    def __init__(self, state: State) -> None:
        self.nodes = _nodes(state)
        self._data = state.root / "rabbitmq" / "data"
        self._formed = self._data / "formed"
        self._one_at_a_time = asyncio.Lock()

    def prepare(
        self, installed: Installation, environment: Mapping[str, str], definitions: Mapping[str, Any], topology: Step
    ) -> tuple[Spec, list[Spec]]:
        """The specs of the port mapper, which is started first, and of the nodes, which are started at once.

        Each declares the topology when it is ready.
        """
        if len(self.nodes) > 1:
            self._begin_anew_unless_whole()

        async def declare() -> None:
            async with self._one_at_a_time:
                await self._complete(installed, specs[0].env)
                await topology()

        prepared = [
            node.prepare(installed, environment, definitions, self._after_the_first(node), declare)
            for node in self.nodes
        ]
        specs = [spec for _, spec in prepared]
        return prepared[0][0], specs

    def _begin_anew_unless_whole(self) -> None:
        """A node that was ended while it joined, or has lost its data, is no member for ever, and others wait for it.

        Where no cluster was complete nothing was declared; what a complete one held is told again.
        """
        if not self._formed.exists():
            shutil.rmtree(self._data, ignore_errors=True)
        elif not all((self._data / node.node).exists() for node in self.nodes):
            aside.put(self._data)

    def _after_the_first(self, node: RabbitMQ) -> Step:
        """A blank node that looks for the first one holds the lock that the first one takes when it is blank, too.

        One that was ended while it joined must not wait: the first one may have paused since it lacks that very node.
        """
        first, started = rabbitmq_answers(self.nodes[0].port), self._data / node.node

        async def wait() -> None:
            while node.number > 1 and not started.exists() and not await first():  # noqa: ASYNC110 -- another process announces nothing
                await asyncio.sleep(LOOKS_EACH)

        return wait

    async def _complete(self, installed: Installation, environment: Mapping[str, str]) -> None:
        """Nothing is declared before every node has joined: a queue has its members from the beginning.

        Raises RuntimeError while one is missing. One is online before its boot is through, and answers after it.
        """
        if len(self.nodes) == 1 or self._formed.exists():
            return
        if not all([await rabbitmq_answers(node.port)() for node in self.nodes]):
            message = "not every node of its cluster answers"
            raise RuntimeError(message)
        words = ("await_online_nodes", str(len(self.nodes)), "--timeout", str(ALL_WITHIN))
        try:
            await control(installed, environment, *words)
        except RuntimeError as against:
            message = f"its cluster is not complete: {against}"
            raise RuntimeError(message) from None
        self._formed.touch()


def _nodes(state: State) -> list[RabbitMQ]:
    names, epmd = broker_names(state.broker_nodes), state.port("epmd")
    return [
        RabbitMQ(
            state.root / "rabbitmq", state.log(name), state.port(name), state.port(f"{name}.distribution"), epmd,
            state.secret("rabbitmq"), state.erlang_cookie, number, len(names),
        )
        for number, name in enumerate(names, 1)
    ]  # fmt: skip


def settle(state: State, asked: int | None, tell: Callable[[str], None]) -> None:
    """Run so many nodes from now on, or as many as before where nothing is asked.

    Another number begins with empty nodes: the topology tells again what a lost queue has held. The old data is put
    aside. Raises Failure when the broker is not ours.
    """
    if asked is None:
        return
    if asked > 1 and variables().get("ORDERMILL_BROKER_URL"):
        cause = "The broker is the one that ORDERMILL_BROKER_URL names."
        raise Failure(cause, "Leave out --broker-nodes; that variable may name several nodes, separated by commas.")
    if asked != state.broker_nodes and (before := aside.put(state.root / "rabbitmq" / "data")):
        tell(f"the broker begins anew as {asked}; what it held is told again, its old data is in {before}")
    state.keep_broker_nodes(asked)
