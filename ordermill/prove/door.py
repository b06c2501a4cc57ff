"""The shop's door as its customers use it: kept connections, a request at a time on each, at little cost."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpResponseParser

ERRORS_FROM = 400


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status_code: int
    body: bytes

    @property
    def is_error(self) -> bool:
        return self.status_code >= ERRORS_FROM

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        return json.loads(self.body)


class Door:
    """The way to a base URL; use it as a context manager. The connection that was used last is used first."""

    def __init__(self, base: str) -> None:
        url = urlsplit(base)
        self._address = (url.hostname or "", url.port or 80)
        self._path = url.path
        self._idle: list[_Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in tuple(self._idle):
            connection.end()

    async def request(self, method: str, path: str, headers: Mapping[str, str], body: Any = None) -> Answer:
        """The whole answer to one request. Raises OSError when there is none: nobody listens, or it was cut."""
        request = self._written(method, path, headers, body)
        connection = self._idle.pop() if self._idle else await self._another()
        return await connection.ask(request)

    def _written(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> bytes:
        content = b"" if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        fields = {"Host": "shop", "Content-Length": str(len(content)), **kind, **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{method} {self._path}{path} HTTP/1.1\r\n{head}\r\n".encode() + content

    async def _another(self) -> "_Connection":
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self._idle), *self._address
        )
        return connection


class _Connection(asyncio.Protocol):
    """A connection with at most one request under way; it is among the idle ones when it can take another."""

    def __init__(self, idle: list["_Connection"]) -> None:
        self._idle = idle
        self._answer: asyncio.Future[Answer] | None = None
        self._body = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    async def ask(self, request: bytes) -> Answer:
        """The answer; the connection ends with whoever does not wait for it."""
        self._answer, self._body = asyncio.get_running_loop().create_future(), b""
        self._parser = HttpResponseParser(self)
        self._transport.write(request)
        try:
            return await self._answer
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._fail(ConnectionAbortedError(f"not HTTP: {error!r}"))

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_result(Answer(self._parser.get_status_code(), self._body))
            if self._parser.should_keep_alive():
                self._idle.append(self)
            else:
                self.end()

    def connection_lost(self, why: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        self._fail(why or ConnectionAbortedError("it ended before the answer did"))

    def _fail(self, why: Exception) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(why)
