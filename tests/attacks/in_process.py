"""Requests of `requests`, which schemathesis sends, answered by an application that runs in another thread's loop."""

import asyncio
import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse

WITHIN = 20.0
ENDLESS = b"text/event-stream"
LOOKS_ON = 0.1


class InProcess(HTTPAdapter):
    """What `requests` sends with. A stream that would not end by itself is left after a moment."""

    def __init__(self, app: Any, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._app = app
        self._loop = loop

    def send(self, request: requests.PreparedRequest, *_args: Any, **_options: Any) -> requests.Response:
        asking = asyncio.run_coroutine_threadsafe(self._ask(request), self._loop)
        return self.build_response(request, asking.result(WITHIN))

    async def _ask(self, request: requests.PreparedRequest) -> HTTPResponse:
        exchange = _Exchange(request)
        await self._app(exchange.scope, exchange.receive, exchange.send)
        headers = HTTPHeaderDict(
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in exchange.headers]
        )
        return HTTPResponse(
            body=io.BytesIO(exchange.answered),
            headers=headers,
            status=exchange.status,
            preload_content=False,
            request_method=request.method,
        )


class _Exchange:
    """One request as ASGI has it."""

    def __init__(self, request: requests.PreparedRequest) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.answered = b""
        body = request.body or b""
        self._body = body.encode() if isinstance(body, str) else body
        self._left = asyncio.Event()
        self._is_sent = False
        address = urlsplit(request.url or "")
        self.scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": "",
            "method": request.method, "path": unquote(address.path), "raw_path": address.path.encode(),
            "query_string": address.query.encode(), "client": ("127.0.0.1", 1), "server": ("shop.example", 80),
            "headers": [(_bytes(name).lower(), _bytes(value)) for name, value in request.headers.items()],
        }  # fmt: skip

    async def receive(self) -> Mapping[str, Any]:
        if not self._is_sent:
            self._is_sent = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
            if any(value.startswith(ENDLESS) for _, value in self.headers):
                asyncio.get_running_loop().call_later(LOOKS_ON, self._left.set)
        self.answered += message.get("body", b"")


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
