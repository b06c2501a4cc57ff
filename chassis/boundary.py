"""The outermost layer of an edge: request id, trace, limits of bodies, the last resort for failures, one log line."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus

from loguru import logger
from pydantic_core import from_json
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import context, tracing
from chassis.logging import Line, info_each
from chassis.problems import Problem, not_json, of_status
from chassis.refusing import has_body
from chassis.telemetry import REQUEST_SECONDS, REQUESTS

BODY_LIMIT = 64 * 1024
FIELDS = 1_000  # of a body: for each that is unknown pydantic writes an error
_FORM = b"application/x-www-form-urlencoded"
_SHOWN = 200  # characters of a path: whoever sends long ones would fill the logs with them
Headers = Mapping[bytes, bytes]
# Asked again and again.
_QUIET = {"/livez", "/readyz", "/metrics", "/health", "/.well-known/jwks.json", "/internal/revocations"}
_WITH_BODY = {"POST", "PUT", "PATCH"}
_MEDIA_TYPES = {b"application/json", _FORM}


class _TooLarge(HTTPException):
    """The body exceeds a limit. FastAPI would take any other exception for a body that is malformed."""


_REFUSALS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
_ACCOUNTS = "/auth/"
_ID = re.compile(r"/[a-z]{3}_[0-9a-z]{26}")


class Boundary:
    """Middleware around a service's application, and around the gateway's."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app = app
        self._service = service
        self._seconds = REQUEST_SECONDS.labels(service)
        self._answered: list[_Exchange] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(reversed(scope["headers"]))  # of those that come twice the first one counts
        asked: context.Context = (scope.get("asked") or context.asked_with(headers)).entered()
        token = context.current.set(asked)
        exchange = _Exchange(scope, receive, send, asked)
        try:
            await self._answer(exchange, headers)
        finally:
            self._record(exchange)
            context.current.reset(token)

    async def _answer(self, exchange: "_Exchange", headers: Headers) -> None:
        try:
            if (problem := _unacceptable(exchange.scope["method"], headers)) is not None:
                await exchange.problem(problem)
            else:
                await self._app(exchange.scope, exchange.receive, exchange.send)
        except _TooLarge:
            await exchange.problem(of_status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
        except asyncio.CancelledError:  # the process ends, and waits no longer for this answer
            await exchange.problem(Problem("unavailable", "This process ends before the answer is known. Try again."))
            raise
        except Exception as failure:  # noqa: BLE001 -- the client gets no text of it, the log gets all
            logger.opt(exception=failure).error("a request failed")
            await exchange.problem(of_status(HTTPStatus.INTERNAL_SERVER_ERROR))

    def _record(self, exchange: "_Exchange") -> None:
        exchange.seconds = time.perf_counter() - exchange.started
        exchange.context = context.current.get() or exchange.context
        if not self._answered:
            asyncio.get_running_loop().call_soon(self._tell)
        self._answered.append(exchange)

    def _tell(self) -> None:
        """Requests that were answered in one go, as those of one batch are, are counted and logged in one go."""
        answered, self._answered = self._answered, []
        for exchange in answered:
            self._seconds.observe(exchange.seconds)
        for (method, status), count in Counter((each.scope["method"], each.status) for each in answered).items():
            REQUESTS.labels(self._service, method, status).inc(count)
        if told := [each for each in answered if each.scope["path"] not in _QUIET]:
            info_each(self._service, lambda: [each.line() for each in told])
            if trace := tracing.current:
                for each in told:
                    trace(each.span(self._service))


class _Exchange:
    """One request and its answer: counts the body as it comes, and adds the request's id to the answer."""

    __slots__ = ("_fields", "_receive", "_received", "_send", "context", "scope", "seconds", "started", "status")

    def __init__(self, scope: Scope, receive: Receive, send: Send, asked: context.Context) -> None:
        self.scope = scope
        self.started = time.perf_counter()
        self.status = 0
        self.seconds = 0.0
        self.context = asked
        self._receive = receive
        self._send = send
        self._received = self._fields = 0

    def line(self) -> Line:
        """What the log says of it."""
        about = {"method": self.scope["method"], "path": self.scope["path"][:_SHOWN], "status": self.status}
        return "request", {**about, "ms": round(self.seconds * 1000, 1), **self.context.told(), **self._who()}

    def span(self, service: str) -> tracing.Span:
        """It as a span (OpenTelemetry's conventions for HTTP servers)."""
        method, path = self.scope["method"], self.scope["path"][:_SHOWN]
        told = {"http.request.method": method, "url.path": path, "http.response.status_code": self.status}
        if self.context.order_id:
            told["ordermill.order_id"] = self.context.order_id
        name, asked = f"{method} {_ID.sub('/{id}', path)}", self.context
        return tracing.Span(service, name, "SERVER", asked.traceparent, asked.parent, self.seconds, told)

    def _who(self) -> dict[str, str]:
        """The user, and where they were if that may have to be looked into: of a refusal, and of what accounts ask."""
        caller, client = self.scope.get("caller"), self.scope.get("client")
        told = {"user": caller.actor} if caller else {}
        looked_into = self.status in _REFUSALS or _ACCOUNTS in self.scope["path"]
        return {**told, "address": client[0]} if client and looked_into else told

    async def receive(self) -> Message:
        """The next part of the request, as long as its body stays within the limits."""
        message = await self._receive()
        body: bytes = message.get("body", b"")
        self._received += len(body)
        if self._received > FIELDS:  # else it cannot have as many
            self._fields += self._fields_of(body)
        if self._received > BODY_LIMIT or self._fields > FIELDS:
            raise _TooLarge(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return message

    def _fields_of(self, body: bytes) -> int:
        if _media_type(dict(self.scope["headers"])) == _FORM:
            return body.count(b"&") + body.count(b"%")  # what is escaped is looked at one by one
        signs = body.count(b":")
        return min(signs, _members(body)) if signs > FIELDS else signs  # texts may have many

    async def send(self, message: Message) -> None:
        """Passes the answer on, with the request's id."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if "asked" not in self.scope:  # else the door writes the ids
                MutableHeaders(scope=message)["X-Request-ID"] = self.context.request_id
        await self._send(message)

    async def problem(self, problem: Problem) -> None:
        """Answers with a problem, unless the answer has already begun: then the connection is cut by the server."""
        if self.status:
            return
        response = problem.answer(self.scope["path"], self.context.request_id)
        await response(self.scope, self._receive, self.send)


def _unacceptable(method: str, headers: Headers) -> Problem | None:
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > BODY_LIMIT:
        return of_status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    media_type = _media_type(headers)
    is_taken = media_type in _MEDIA_TYPES or media_type.endswith(b"+json")
    if method in _WITH_BODY and has_body(headers) and not is_taken:
        return not_json()
    return None


def _media_type(headers: Headers) -> bytes:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def _members(body: bytes) -> int:
    """Of all objects in it; of a part of a body, or of what is no JSON, none can be told."""
    try:
        left = [from_json(body)]
    except ValueError:
        return FIELDS + 1
    count = 0
    while left:
        each = left.pop()
        count += len(each) if isinstance(each, dict) else 0
        left += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    return count
