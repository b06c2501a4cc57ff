"""One process: hosts services as api, worker or both, and answers for their health."""

import gc
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from functools import partial
from typing import Any

import httpx2
import uvicorn
from loguru import logger
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from chassis import health, logging, neighbours
from chassis.admission import HERE
from chassis.api import api
from chassis.app import Parts, parts_of
from chassis.assertions import Asserter
from chassis.forwarded import Forwarded
from chassis.remembered import Remembered
from chassis.settings import LogSettings, ServiceSettings
from chassis.tasks import side_by_side
from chassis.wire import Wire
from chassis.worker import Worker
from ordermill import ports
from ordermill.apart import survives
from ordermill.needs import COMES_TO
from ordermill.plan import PACKED
from ordermill.services import AUDITOR, PROVIDER, SERVICES, load
from ordermill.serving import Server

GRACE = 5  # seconds for answers that are under way; then those who asked are told to ask again
PROVIDED = 2_000


class Hosted:
    """The services of one process: their edges, their workers where it has that role, and its ways to the others."""

    def __init__(self, names: Sequence[str], *, working: bool) -> None:
        self.names = [name for name in SERVICES if name in names]
        self.settings: dict[str, Any] = {name: load(name).settings() for name in self.names}
        self.peers: dict[str, dict[str, httpx2.AsyncClient]] = {name: {} for name in self.names}
        self.apis = {name: api(self._parts(name)) for name in self.names}
        self.workers = [self._worker(name) for name in self.names] if working else []
        for name in self.names:
            self._connect_peers(name, self.settings[name])

    def _parts(self, name: str) -> Parts:
        return parts_of(load(name), self.settings[name], self.peers[name])

    def _worker(self, name: str) -> Worker:
        parts = self._parts(name)
        parts.apart = partial(survives, name)
        return Worker(parts)

    def _connect_peers(self, name: str, settings: ServiceSettings) -> None:
        token = settings.service_token  # of the release before, where only the list of what has ended is asked with it
        shown = {"auth_service": {"Authorization": f"Bearer {token.get_secret_value()}"}} if token else {}
        for peer, url in settings.peers.items():
            self.peers[name][peer] = neighbours.at(url, shown.get(peer, {}), most=neighbours.PAGE)
        self.peers[name] |= {peer: neighbours.hosted(app, peer) for peer, app in self.apis.items()}
        for peer, key in settings.peer_keys.items():
            if peer in self.peers[name]:
                self.peers[name][peer].auth = Asserter(name, key)
        for peer in COMES_TO[name]:
            if peer not in settings.peer_keys:
                logger.warning("no key at {} in ORDERMILL_{}_PEER_KEYS: {} is told nothing", peer, name.upper(), name)

    @asynccontextmanager
    async def running(self, _app: object = None) -> AsyncIterator[None]:
        """Runs the edges, for the gateway in front of them or for neighbours in this process, and then the workers."""
        async with AsyncExitStack() as stack:
            for clients in self.peers.values():
                for client in clients.values():
                    stack.push_async_callback(client.aclose)
            edges = (app.router.lifespan_context(app) for app in self.apis.values())
            await stack.enter_async_context(side_by_side(*edges))
            await stack.enter_async_context(side_by_side(*(worker.running() for worker in self.workers)))
            yield

    async def checks(self) -> dict[str, str | None]:
        """Why the workers are not ready, by service and check."""
        return {
            f"{worker.parts.service.name} {check}": reason
            for worker in self.workers
            for checks in (await health.api_checks(worker.parts), await worker.checks())
            for check, reason in checks.items()
        }


def application(names: Sequence[str], role: str) -> ASGIApp:
    """What one process serves: the provider, one service's edge, the gateway over many, or a worker's health."""
    if names == [PROVIDER]:
        return _provider()
    if names == [AUDITOR]:
        return _auditor()
    hosted = Hosted(names, working=role != "api")
    if role == "worker":
        return Starlette(routes=_probes("worker", hosted.checks), lifespan=hosted.running)
    if role == "api" and len(names) == 1 and hosted.apis:
        edge = hosted.apis[names[0]]
        return Forwarded(edge, edge.state.parts.assertions)
    from gateway import main

    return main.app(hosted.apis, lifespan=hosted.running)


def _provider() -> ASGIApp:
    from payment_service import simulator
    from payment_service.settings import ProviderSettings

    return simulator.app(ProviderSettings())


def _auditor() -> ASGIApp:
    from ordermill.audit.settings import Settings
    from ordermill.audit.watching import Auditor

    auditor = Auditor(Settings())
    return Starlette(routes=_probes(AUDITOR, auditor.checks), lifespan=auditor.running)


def _probes(name: str, find_out: Any) -> list[Route]:
    checks = Remembered(find_out)

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


def called(names: Sequence[str], role: str) -> str:
    """The name of a process in its log, as `ps` shows it."""
    packed = (name for name, hosted in PACKED.items() if role == "worker" and set(hosted) == set(names))
    return next(packed, f"{names[0] if len(names) == 1 else 'shop'}.{role}")


def run(names: Sequence[str], role: str, port: int, host: str = "127.0.0.1") -> None:
    """Serves until SIGTERM: accepted work is finished, then the process ends, within 10 s in any case."""
    logs = LogSettings()
    if names == [PROVIDER]:
        HERE.work.most = PROVIDED  # its callers are ours, bound themselves, and some cards let them wait
    logging.set_up(called(names, role), level=logs.log_level, form=logs.log_format)
    app = application(list(names), role)
    HERE.place = getattr(app, "place", None)  # of one before which others stand, who tell it where a request comes from
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=Wire,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # whom to believe about where a request comes from: Forwarded and the gateway know
        date_header=False,
        timeout_keep_alive=65,
        timeout_graceful_shutdown=GRACE,
    )
    _rarely_look_for_garbage()
    with _traced(logs):
        Server(config).run(ports.inherited())
    gc.freeze()  # Looking for garbage in all that the services imported would hold up the end.


def _traced(logs: LogSettings) -> AbstractContextManager[None]:
    if not logs.traces_url:
        return nullcontext()
    from chassis.spans import told

    return told(logs.traces_url, logs.traces_share)


def _rarely_look_for_garbage() -> None:
    """What is loaded stays; what work leaves behind is freed by reference counts, but for the cycles of failures."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
