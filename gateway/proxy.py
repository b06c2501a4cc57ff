"""Forwards requests to a service in another process over HTTP: bodies and streams pass through piece by piece."""

import asyncio
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import timedelta
from urllib.parse import quote

import httpx2
from loguru import logger
from starlette.types import Receive, Scope, Send

from chassis.admission import HERE, Crowded
from chassis.problems import Problem
from gateway.connections import Connections, Full
from gateway.forwarding import Body, ClientGone, answer_headers, request_headers
from gateway.headers import refuse

SAFE = {"GET", "HEAD", "OPTIONS"}
_UNCONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout)


class Proxy:
    """The service at a base URL, as an ASGI application."""

    def __init__(
        self,
        url: str,
        *,
        connect_within: timedelta = timedelta(seconds=1),
        answer_within: timedelta = timedelta(seconds=35),
        silence_within: timedelta = timedelta(seconds=60),
    ) -> None:
        self._url = httpx2.URL(url)
        self._base = self._url.raw_path.rstrip(b"/")
        self._answer_within = answer_within.total_seconds()
        self._timeout = {
            "connect": connect_within.total_seconds(),
            "read": silence_within.total_seconds(),
            "write": silence_within.total_seconds(),
        }
        # Transports, not a client: a client would keep one user's cookies for the next one.
        self._connections = Connections(self._url)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._connections.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forwards until the answer has passed or the client has left; then the service's side is ended as well."""
        body = Body(scope, receive)
        forwarding = asyncio.ensure_future(self._forward(scope, body, send))
        leaving = asyncio.ensure_future(body.client_gone())
        try:
            await asyncio.wait((forwarding, leaving), return_when=asyncio.FIRST_COMPLETED)
            if forwarding.done():
                forwarding.result()
        finally:
            forwarding.cancel()
            leaving.cancel()
            await asyncio.gather(forwarding, leaving, return_exceptions=True)

    async def _forward(self, scope: Scope, body: Body, send: Send) -> None:
        answer = _Answer(send)
        try:
            with _place(scope):
                await self._exchange(scope, body, answer)
        except ClientGone:
            return
        except (Crowded, Full, TimeoutError, httpx2.TransportError) as failure:
            logger.warning("{} {}: {!r}", scope["method"], self._url.host, failure)
            # When the head is out, only a cut connection can tell the client that the answer is not whole.
            if not answer.begun:
                await refuse(_problem(failure), scope, body.receive, send)

    async def _exchange(self, scope: Scope, body: Body, answer: "_Answer") -> None:
        async with self._connections.one() as transport:
            response = await self._ask(transport, self._request(scope, body))
            try:
                await answer.pass_on(response)
            finally:
                await response.aclose()

    def _request(self, scope: Scope, body: Body) -> httpx2.Request:
        path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
        query: bytes = scope["query_string"]
        target = self._base + path + (b"?" + query if query else b"")
        return httpx2.Request(
            scope["method"],
            self._url,
            headers=request_headers(scope),
            stream=body,
            extensions={"target": target, "timeout": self._timeout},
        )

    async def _ask(self, transport: httpx2.AsyncBaseTransport, request: httpx2.Request) -> httpx2.Response:
        async with asyncio.timeout(self._answer_within):
            try:
                return await transport.handle_async_request(request)
            except _UNCONNECTED:
                if request.method not in SAFE:
                    raise
                return await transport.handle_async_request(request)


class _Answer:
    """What the client has of the answer."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def pass_on(self, response: httpx2.Response) -> None:
        headers = answer_headers(response.headers.raw)
        is_endless = response.headers.get("content-type", "").startswith("text/event-stream")
        if is_endless:
            HERE.check()
        self.begun = True
        await self._send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        if is_endless:
            # It would never end by itself. Its reader comes again, and says what it has seen last.
            with suppress(TimeoutError), HERE.looking_on():
                async with HERE.until_the_end():
                    await self._pass_on(response)
        else:
            await self._pass_on(response)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pass_on(self, response: httpx2.Response) -> None:
        async for piece in response.aiter_raw():
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})


def _place(scope: Scope) -> AbstractContextManager[None]:
    """Where a request counts: among those at work, or among those who look on until something happens.

    When too many look on, it is not made to wait: nobody has to honour a preference (RFC 7240).
    """
    others = [pair for pair in scope["headers"] if pair[0] != b"prefer"]
    if len(others) == len(scope["headers"]):
        return nullcontext()
    try:
        HERE.check()
    except Crowded:
        scope["headers"] = others
        return nullcontext()
    return HERE.looking_on()


def _problem(failure: Exception) -> Problem:
    match failure:
        case httpx2.ConnectError() | httpx2.ConnectTimeout() | Full() | Crowded():
            return Problem("unavailable", "The service cannot be reached now. Try again.")
        case TimeoutError() | httpx2.TimeoutException():
            return Problem("upstream_timeout", "The service did not answer in time.")
        case httpx2.LocalProtocolError():
            return Problem("header_invalid", "The request cannot be passed on as it is.")
        case _:
            return Problem("upstream_error", "The service ended before it answered.")
