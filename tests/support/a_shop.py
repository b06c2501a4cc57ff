"""`up` for tests: real supervisor, control socket and mailbox, with small web servers in the place of our services.

Run as a program with the state's folder as argument; the environment names a database and a broker that nobody asks.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ordermill import launch
from ordermill.ports import HOST
from ordermill.probes import answers_ok
from ordermill.process import Spec
from ordermill.shop import Progress, Shop
from ordermill.state import State

PAGE = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer.allow_reuse_port = True
print("serving", flush=True)
http.server.HTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""


class Steps:
    """The steps between servers and services, each of which writes down that it was done."""

    def environment(self, state: State) -> dict[str, str]:
        return {"ORDERMILL_PROFILE": state.layout}

    def definitions(self, state: State) -> dict[str, Any]:
        return {}

    async def prepare(self, state: State, on_progress: Callable[[str], None]) -> None:
        if os.environ.get("BROKEN_STEP"):
            message = "column no_such does not exist"
            raise ValueError(message)
        on_progress("migrations")

    async def topology(self, state: State) -> bool:
        (state.root / "topology").touch()
        return False

    async def seed(self, state: State) -> None:
        (state.root / "seeded").touch()


def pages(state: State, _told: Mapping[str, str]) -> list[Spec]:
    return [_page(state, "shop.api", "gateway"), _page(state, "shop.worker", "shop.worker")]


def _page(state: State, name: str, port_of: str) -> Spec:
    port = state.port(port_of)
    return Spec(
        name=name,
        argv=(sys.executable, "-c", PAGE.format(port=port)),
        log=state.log(name),
        env=dict(os.environ),
        ready=answers_ok(port, "/readyz"),
        url=f"http://{HOST}:{port}",
        rank=3,
    )


def a_shop(state: State, progress: Progress) -> Shop:
    return Shop(state, progress, Steps, pages, forks=False)


if __name__ == "__main__":
    asyncio.run(launch.up(State.open(Path(sys.argv[1])), None, shop_of=a_shop))
