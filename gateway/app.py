"""The door: hands each request to the service that answers its path, and dresses every answer."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import context, health
from chassis.boundary import Boundary
from chassis.neighbours import behind
from chassis.problems import Problem, of_status
from chassis.remembered import Remembered
from gateway import pages
from gateway.documents import Documents
from gateway.guard import Guard
from gateway.headers import ENCRYPTED_ONLY, dressed, passed_on, refuse
from gateway.health import readiness, report
from gateway.routing import TABLE, Routes

Lifespan = Callable[[], AbstractAsyncContextManager[Any]]


def gateway(
    services: Mapping[str, ASGIApp],
    *,
    table: Mapping[str, str] = TABLE,
    guard: Guard | None = None,
    lifespan: Lifespan = nullcontext,
) -> ASGIApp:
    """The gateway in front of these services, by name. Each brings its own `Boundary`, which limits and logs.

    Args:
        services: an ASGI application each, hosted or a `Proxy`; their lifespans are not the gateway's business.
        table: path prefix → service; a service of the table that is not there answers 503.
        guard: asked who may pass; None lets everybody.
        lifespan: opened around the gateway's own life.
    """
    routes = Routes(table)
    own = _own(routes, {name: behind(app, name) for name, app in services.items()}, lifespan)
    missing = {name: Boundary(absent(name), "gateway") for name in routes.services if name not in services}
    return Door(routes, {**missing, **services}, own, guard)


def _own(routes: Routes, ways: Mapping[str, httpx2.AsyncClient], lifespan: Lifespan) -> ASGIApp:
    own = Starlette(
        routes=[*pages.ROUTES, *_told(ways, Documents(ways, routes))],
        middleware=[Middleware(Boundary, service="gateway")],
        exception_handlers=_REFUSALS,
        lifespan=_life(ways, lifespan),
    )
    own.router.redirect_slashes = False  # it would lead to whatever Host the client named
    return own


def _life(ways: Mapping[str, httpx2.AsyncClient], lifespan: Lifespan) -> Callable[[Starlette], Any]:
    @asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        async with lifespan():
            yield
        for each in ways.values():
            await each.aclose()

    return life


class Door:
    """Middleware without middlemen: the service's application gets the request's own `receive`."""

    def __init__(self, routes: Routes, services: Mapping[str, ASGIApp], own: ASGIApp, guard: Guard | None) -> None:
        self._routes = routes
        self._services = services
        self._own = own
        self._guard = guard
        self._refusals = Boundary(_refused, "gateway")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._own(scope, receive, send)
            return
        asked = context.asked_with(dict(reversed(scope["headers"])))  # of those that come twice the first one counts
        told = [ENCRYPTED_ONLY] if scope["scheme"] == "https" else []
        passed = {**scope, "headers": passed_on(scope["headers"], asked), "asked": asked}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = dressed(message.get("headers", ()), asked, told)
            await send(message)

        service = self._routes.find(scope["path"])
        app = self._services[service] if service else self._own
        if self._guard is not None:
            try:
                told += await self._guard.admit(passed)
            except Problem as refusal:
                app = self._refusals
                passed["refusal"] = refusal
        await app(passed, receive, answer)


async def _refused(scope: Scope, receive: Receive, send: Send) -> None:
    await refuse(scope["refusal"], scope, receive, send)


def absent(service: str) -> ASGIApp:
    """Stands for a service that is neither hosted here nor has an address."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await refuse(Problem("unavailable", f"{service} does not run here."), scope, receive, send)

    return answer


def _told(ways: Mapping[str, httpx2.AsyncClient], documents: Documents) -> list[Route]:
    told_ready, told_healthy = Remembered(partial(readiness, ways)), Remembered(partial(report, ways))

    async def alive(_request: Request) -> Response:
        return health.alive()

    async def ready(_request: Request) -> Response:
        return await health.ready(await told_ready())

    async def healthy(_request: Request) -> Response:
        return JSONResponse(await told_healthy())

    async def version(_request: Request) -> Response:
        return health.version("gateway")

    async def document(_request: Request) -> Response:
        return Response(await documents.merged(), media_type="application/json")

    told = {"/livez": alive, "/readyz": ready, "/health": healthy, "/version": version, "/openapi.json": document}
    return [Route(path, endpoint) for path, endpoint in told.items()]


async def _of_problem(request: Request, problem: Problem) -> Response:
    return problem.answer(request.url.path, _request_id())


async def _of_status(request: Request, failure: HTTPException) -> Response:
    return of_status(failure.status_code, failure.headers).answer(request.url.path, _request_id())


def _request_id() -> str:
    return (context.current.get() or context.start()).request_id


_REFUSALS: Mapping[Any, Callable[[Request, Any], Any]] = {Problem: _of_problem, HTTPException: _of_status}
