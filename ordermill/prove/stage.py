"""The shop that is hurt: split, fresh, in a folder of its own, its servers reached through lines, its limits brisk."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from chassis.tasks import side_by_side
from ordermill import launch, sockets, stage
from ordermill.ports import HOST
from ordermill.prove.line import Line
from ordermill.shop import Progress, Shop
from ordermill.state import State, server_names

# A slow card takes 1.2 s, an answer that was lost is found after 2.4 s; a declined order waits 20 s for its customer.
BRISK = {
    "ORDERMILL_SIMULATOR_SCALE": "0.2",
    "ORDERMILL_PROVIDER_TIMEOUT": "PT2S",
    "ORDERMILL_LEASE": "PT10S",
    "ORDERMILL_ORDER_SERVICE_PAY_BY": "PT20S",
    "ORDERMILL_GATEWAY_RATE_LIMITS": "off",
}
OWN_SERVERS = "It kills the servers that it uses, so it uses only its own."


def through_lines(state: State, told: dict[str, str]) -> dict[str, str]:
    """What the services are told: every address of a server leads through its line."""
    for server in server_names(state.broker_nodes):
        near, far = (_named(end) for end in ends_of(state, server))
        told = {name: value.replace(far, near) for name, value in told.items()}
    return {**told, **BRISK}


def ends_of(state: State, server: str) -> tuple[int | Path, int | Path]:
    """Where the line to a server listens, and where the server does: at ports, PostgreSQL at sockets."""
    if server == "postgres":
        return sockets.socket_in(state.sockets, sockets.LINE_PORT), sockets.socket_in(state.sockets)
    return state.port(f"{server}.line"), state.port(server)


def _named(end: int | Path) -> str:
    """How an address names it."""
    return f"{HOST}:{end}/" if isinstance(end, int) else f"{sockets.place(end.parent, int(end.suffix[1:]))}/"


class Stage(stage.Stage):
    """A running shop, its parts by name, and the lines to its servers."""

    def __init__(self, shop: Shop, lines: dict[str, Line]) -> None:
        super().__init__(shop)
        self.lines = lines


@asynccontextmanager
async def a_stage(home: Path, note: Callable[[str], None], broker_nodes: int = 1) -> AsyncIterator[Stage]:
    """A fresh shop, ready. It ends with the block; its folder stays."""
    with stage.a_fresh_place(home, "split", OWN_SERVERS, broker_nodes) as state:
        lines = {server: Line(*ends_of(state, server)) for server in server_names(broker_nodes)}
        progress = Progress(time.monotonic(), note)
        shop = Shop(state, progress, lambda: stage.Steps(launch.load_setup(), through_lines))
        async with side_by_side(*lines.values()), stage.at_work(shop):
            yield Stage(shop, lines)
