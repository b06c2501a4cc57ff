"""One process: hosts services as api, worker or both, and answers for their health."""

import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from os import _exit
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from chassis import health, logging
from chassis.api import api
from chassis.app import Parts, parts_of
from chassis.settings import ServiceSettings
from chassis.worker import Worker
from ordermill.services import SERVICES, load

GATEWAY = "gateway"
PROVIDER = "provider"
GRACE = 8


class Hosted:
    """The services of one process, and its ways to the others."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = [name for name in names if name in SERVICES]
        self.settings: dict[str, Any] = {name: load(name).settings() for name in SERVICES if name in names}
        self.peers: dict[str, httpx2.AsyncClient] = {}
        self.apis = {name: api(self._parts(name)) for name in self.names}
        self._connect_peers()

    def _parts(self, name: str) -> Parts:
        return parts_of(load(name), self.settings[name], self.peers)

    def _connect_peers(self) -> None:
        any_settings: ServiceSettings | None = next(iter(self.settings.values()), None)
        if any_settings is None:
            return
        headers = {"Authorization": f"Bearer {any_settings.service_token.get_secret_value()}"}
        for name in SERVICES:
            if (app := self.apis.get(name)) is not None:
                transport = httpx2.ASGITransport(app)
                self.peers[name] = httpx2.AsyncClient(transport=transport, base_url=f"http://{name}", headers=headers)
            elif url := any_settings.peers.get(name):
                self.peers[name] = httpx2.AsyncClient(base_url=url, headers=headers, timeout=5)

    def workers(self) -> list[Worker]:
        """A worker for each service."""
        return [Worker(self._parts(name)) for name in self.names]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Runs the edges, for the gateway in front of them or for neighbours in this process."""
        async with AsyncExitStack() as stack:
            for app in self.apis.values():
                await stack.enter_async_context(app.router.lifespan_context(app))
            yield
            for client in self.peers.values():
                await client.aclose()


def application(names: Sequence[str], role: str) -> ASGIApp:
    """What one process serves: the provider, one service's edge, the gateway over many, or a worker's health."""
    if names == [PROVIDER]:
        from payment_service import simulator
        from payment_service.settings import Settings

        return simulator.app(Settings())
    hosted = Hosted(names)
    if role == "worker":
        return _worker(hosted)
    if GATEWAY in names:
        return _gateway(hosted)
    if len(hosted.apis) == 1 and role == "api":
        return next(iter(hosted.apis.values()))
    return _everything(hosted)


def _gateway(hosted: Hosted) -> ASGIApp:
    from gateway import main

    return main.app(hosted.apis, lifespan=hosted.serving)


def _everything(hosted: Hosted) -> ASGIApp:
    from gateway import main

    workers = hosted.workers()

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with hosted.serving(), AsyncExitStack() as stack:
            for worker in workers:
                await stack.enter_async_context(worker.running())
            yield

    return main.app(hosted.apis, lifespan=lifespan)


def _worker(hosted: Hosted) -> ASGIApp:
    workers = hosted.workers()

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with hosted.serving(), AsyncExitStack() as stack:
            for worker in workers:
                await stack.enter_async_context(worker.running())
            yield

    async def checks() -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for worker in workers:
            results = {**await health.api_checks(worker.parts), **await worker.checks()}
            found.update({f"{worker.parts.service.name} {name}": reason for name, reason in results.items()})
        return found

    return Starlette(routes=_probes("worker", checks), lifespan=lifespan)


def _probes(name: str, checks: Any) -> list[Route]:
    async def alive(_request: Request) -> Response:
        return health.alive()

    async def ready(_request: Request) -> Response:
        return await health.ready(await checks())

    async def report(_request: Request) -> Response:
        return await health.report(name, await checks())

    async def metrics(_request: Request) -> Response:
        return health.metrics()

    async def version(_request: Request) -> Response:
        return health.version(name)

    paths: Mapping[str, Any] = {
        "/livez": alive,
        "/readyz": ready,
        "/health": report,
        "/metrics": metrics,
        "/version": version,
    }
    return [Route(path, endpoint) for path, endpoint in paths.items()]


def run(names: Sequence[str], role: str, port: int, host: str = "127.0.0.1") -> None:
    """Serves until SIGTERM: accepted work is finished, then the process ends, within 10 s in any case."""
    any_name = next((name for name in names if name in SERVICES), None)
    settings: Any = load(any_name).settings() if any_name else None
    label = names[0] if len(names) == 1 else "shop"
    logging.set_up(
        f"{label}.{role}",
        level=settings.log_level if settings else "INFO",
        form=settings.log_format if settings else "text",
    )
    config = uvicorn.Config(
        application(list(names), role),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_keep_alive=65,
        timeout_graceful_shutdown=GRACE,
    )
    _Server(config).run()


class _Server(uvicorn.Server):
    """uvicorn, with a watchdog: a handshake that hangs must not hold up the end (6-facts.md, 6)."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        watchdog = threading.Timer(GRACE + 1.5, _exit, [1])
        watchdog.daemon = True
        watchdog.start()
        super().handle_exit(sig, frame)
