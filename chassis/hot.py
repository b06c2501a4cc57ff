"""The hot route: a service's busiest POST without FastAPI's machinery around it.

It takes what is well-formed and whose token was checked before. Anything else goes FastAPI's way from the beginning,
so that one place says no; and FastAPI's route is the one that is documented.
"""

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.app import Hot, Parts
from chassis.assertions import NAME
from chassis.authentication import shown
from chassis.http import bare_key, edge_of
from chassis.problems import Problem
from chassis.scopes import needed

Given = tuple[Any, ...]


class HotRoute:
    """Middleware around a service's application, which it asks how failures are answered."""

    def __init__(self, app: ASGIApp, *, hot: Hot, path: str, parts: Parts, handlers: Starlette) -> None:
        self._app = app
        self._hot = hot
        self._path = path
        self._scope = needed(path, "POST")
        self._parts = parts
        self._handlers = handlers.exception_handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or lets FastAPI do so."""
        if scope.get("path") != self._path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        came = await _all(receive)
        if (given := self._given(scope, came)) is None:
            await self._app(scope, _again(came, receive), send)
        else:
            response = await self._answer(scope, given)
            await response(scope, receive, send)

    def _given(self, scope: Scope, came: list[Message]) -> Given | None:
        """The endpoint's arguments; None where anything about the request is unusual."""
        headers = dict(scope["headers"])
        is_plain = len(headers) == len(scope["headers"]) and headers.get(b"content-type") == b"application/json"
        if not is_plain or scope["query_string"] or came[-1]["type"] != "http.request":
            return None
        said = shown(self._parts, _text(headers, NAME), _text(headers, b"authorization"))
        caller = self._parts.verifier.known(said)
        if caller is None or (caller.scopes and self._scope not in caller.scopes):
            return None
        scope["caller"] = caller
        try:
            key = bare_key(_text(headers, b"idempotency-key"))
            body = self._hot.body.model_validate_json(b"".join([message.get("body", b"") for message in came]))
        except (ValueError, Problem):
            return None
        return body, caller, edge_of(scope, self._parts), key, _text(headers, b"prefer")

    async def _answer(self, scope: Scope, given: Given) -> Response:
        try:
            return await self._hot.endpoint(*given)
        except Exception as failure:
            for kind in type(failure).__mro__:
                if kind in self._handlers:
                    response: Response = await self._handlers[kind](Request(scope), failure)
                    return response
            raise


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


async def _all(receive: Receive) -> list[Message]:
    came = [await receive()]
    while came[-1].get("more_body"):
        came.append(await receive())
    return came


def _again(came: list[Message], receive: Receive) -> Receive:
    """What came already, then whatever comes next."""
    waiting = iter(came)

    async def receive_again() -> Message:
        return next(waiting, None) or await receive()

    return receive_again
