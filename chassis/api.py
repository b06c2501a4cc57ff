"""A service's HTTP edge: FastAPI with problem details everywhere, health, metrics and the versioned routes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

import asyncpg
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from loguru import logger
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from chassis import context, health
from chassis.admission import Crowded
from chassis.app import Parts, Service, opened
from chassis.boundary import Boundary
from chassis.database import OUTAGE, TooLong
from chassis.hot import HotRoute
from chassis.idempotency import KeyInUse, KeyReused
from chassis.items import Unavailable
from chassis.openapi import DocumentedAPI
from chassis.problems import Problem, not_json, of_refusal, of_status, of_validation
from chassis.remembered import Remembered
from chassis.tasks import forever
from chassis.tokens import REFUSALS

PREFIX = "/api/v1"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_Answering = Callable[[Request, Exception], Awaitable[JSONResponse]]

_CODES: dict[type[Exception], str] = {
    KeyInUse: "idempotency_key_in_use",
    KeyReused: "idempotency_key_reused",
    **REFUSALS,
    TooLong: "too_long",
    Unavailable: "unavailable",
    Crowded: "unavailable",
}
_OUTAGE = (*OUTAGE, asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)


def api(parts: Parts) -> FastAPI:
    """The service's ASGI application. Its lifespan opens the parts and runs the pipeline for commands."""
    service = parts.service

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with opened(parts, *_works(parts)):
            yield

    app = DocumentedAPI(
        title=service.name,
        version=health.release(),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.parts = parts
    app.include_router(service.router, prefix=PREFIX)
    app.include_router(service.unversioned)
    app.include_router(service.internal, include_in_schema=False)
    app.include_router(_probes(parts), include_in_schema=False)
    _answer_problems(app, service)
    if service.hot:
        app.add_middleware(HotRoute, hot=service.hot, path=PREFIX + service.hot.path, parts=parts, handlers=app)
    app.add_middleware(Boundary, service=service.name)
    return app


def _works(parts: Parts) -> Iterator[Awaitable[None]]:
    yield forever("pipeline", parts.pipeline.run)
    yield forever("watch", parts.watch.run)
    if (revocations := parts.verifier.revocations) is not None:
        yield forever("revocations", partial(parts.verifier.follow, revocations))


def _answer_problems(app: FastAPI, service: Service) -> None:
    for refusal, code in {**_CODES, **service.refusals}.items():
        app.add_exception_handler(refusal, _answering(partial(of_refusal, code=code)))
    for outage in _OUTAGE:
        app.add_exception_handler(outage, _answering(_of_outage))
    app.add_exception_handler(Problem, _answering(lambda problem: problem))
    app.add_exception_handler(RequestValidationError, _answering(_of_input))
    app.add_exception_handler(HTTPException, _answering_request(_of_http))
    app.add_exception_handler(asyncpg.DataError, _answering(_of_data))


def _of_input(failure: RequestValidationError) -> Problem:
    """FastAPI leaves a body in bytes that does not say that it is JSON."""
    return not_json() if isinstance(failure.body, bytes) else of_validation(failure.errors())


def _of_http(request: Request, failure: HTTPException) -> Problem:
    """Starlette names the methods of one route of the path only."""
    if failure.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
        return of_status(failure.status_code, failure.headers)
    asked = ((method, {**request.scope, "method": method}) for method in METHODS)
    routes: Sequence[BaseRoute] = request.app.routes
    taken = [method for method, scope in asked if any(route.matches(scope)[0] is Match.FULL for route in routes)]
    return of_status(failure.status_code, {"Allow": ", ".join(taken)})


def _of_outage(failure: Exception) -> Problem:
    logger.warning("unavailable: {!r}", failure)
    return Problem("unavailable", "The shop's database does not answer. Try again.")


def _of_data(failure: Exception) -> Problem:
    """A value that passed the schema but no column can hold, such as NUL in a path, or a cursor that was made up."""
    logger.error("a value that PostgreSQL cannot take: {}", type(failure).__name__)
    return Problem("validation_failed", "A value in the request is out of range.")


def _answering(problem_of: Callable[[Any], Problem]) -> _Answering:
    return _answering_request(lambda _request, failure: problem_of(failure))


def _answering_request(problem_of: Callable[[Request, Any], Problem]) -> _Answering:
    async def answer(request: Request, failure: Exception) -> JSONResponse:
        asked = context.current.get() or context.start()
        return problem_of(request, failure).answer(request.url.path, asked.request_id)

    return answer


def _probes(parts: Parts) -> APIRouter:
    router = APIRouter()
    checks, backlog = Remembered(partial(health.api_checks, parts)), Remembered(partial(health.backlog, parts))

    @router.get("/livez")
    async def alive() -> Response:
        return health.alive()

    @router.get("/readyz")
    async def ready() -> Response:
        return await health.ready(await checks())

    @router.get("/health")
    async def healthy() -> Response:
        return await health.report(parts.service.name, await checks() | await backlog())

    @router.get("/metrics")
    async def metrics() -> Response:
        return health.metrics()

    @router.get("/version")
    async def version() -> Response:
        return health.version(parts.service.name)

    return router
