"""The door: hands each request to the service that answers its path, and dresses every answer."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
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
from chassis.api_keys import ApiKeys
from chassis.boundary import Boundary
from chassis.problems import Problem, of_status
from gateway import pages
from gateway.documents import Documents
from gateway.headers import dressed, passed_on, refuse
from gateway.health import readiness, report
from gateway.routing import TABLE, Routes

Lifespan = Callable[[], AbstractAsyncContextManager[Any]]


def gateway(
    services: Mapping[str, ASGIApp], *, table: Mapping[str, str] = TABLE, lifespan: Lifespan = nullcontext
) -> ASGIApp:
    """The gateway in front of these services, by name. Each brings its own `Boundary`, which limits and logs.

    Args:
        services: an ASGI application each, hosted or a `Proxy`; their lifespans are not the gateway's business.
        table: path prefix → service; a service of the table that is not there answers 503.
        lifespan: opened around the gateway's own life.
    """
    ways = {name: _way(name, app) for name, app in services.items()}

    @asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        async with lifespan():
            yield
        for way in ways.values():
            await way.aclose()

    routes = Routes(table)
    own = Starlette(
        routes=[*pages.ROUTES, *_told(ways, Documents(ways, routes))],
        middleware=[Middleware(Boundary, service="gateway")],
        exception_handlers=_REFUSALS,
        lifespan=life,
    )
    missing = {name: Boundary(absent(name), "gateway") for name in routes.services if name not in services}
    keys = ApiKeys(ways["auth_service"]) if "auth_service" in ways else None
    return Door(routes, {**missing, **services}, own, keys)


class Door:
    """Middleware without middlemen: the service's application gets the request's own `receive`."""

    def __init__(
        self, routes: Routes, services: Mapping[str, ASGIApp], own: ASGIApp, keys: ApiKeys | None = None
    ) -> None:
        self._routes = routes
        self._services = services
        self._own = own
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._own(scope, receive, send)
            return
        asked = context.asked_with(dict(scope["headers"]))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = dressed(message.get("headers", ()), asked)
            await send(message)

        service = self._routes.find(scope["path"])
        app = self._services[service] if service else self._own
        headers = passed_on(scope["headers"], asked)
        if self._keys:
            try:
                headers = await self._keys.exchanged(headers)
            except Problem as problem:
                app = Boundary(refusing(problem), "gateway")
        await app({**scope, "headers": headers, "asked": asked}, receive, answer)


def absent(service: str) -> ASGIApp:
    """Stands for a service that is neither hosted here nor has an address."""
    return refusing(Problem("unavailable", f"{service} does not run here."))


def refusing(problem: Problem) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await refuse(problem, scope, receive, send)

    return answer


def _way(name: str, app: ASGIApp) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=f"http://{name}")


def _told(ways: Mapping[str, httpx2.AsyncClient], documents: Documents) -> list[Route]:
    async def alive(_request: Request) -> Response:
        return health.alive()

    async def ready(_request: Request) -> Response:
        return await health.ready(await readiness(ways))

    async def healthy(_request: Request) -> Response:
        return JSONResponse(await report(ways))

    async def version(_request: Request) -> Response:
        return health.version("gateway")

    async def document(_request: Request) -> Response:
        return Response(await documents.merged(), media_type="application/json")

    told = {"/livez": alive, "/readyz": ready, "/health": healthy, "/version": version, "/openapi.json": document}
    return [Route(path, endpoint) for path, endpoint in told.items()]


async def _of_problem(request: Request, problem: Problem) -> Response:
    return problem.answer(request.url.path, _request_id())


async def _of_status(request: Request, failure: HTTPException) -> Response:
    problem = of_status(failure.status_code)
    return replace(problem, headers=failure.headers or {}).answer(request.url.path, _request_id())


def _request_id() -> str:
    return (context.current.get() or context.start()).request_id


_REFUSALS: Mapping[Any, Callable[[Request, Any], Any]] = {Problem: _of_problem, HTTPException: _of_status}
