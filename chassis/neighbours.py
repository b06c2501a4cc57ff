"""How our processes ask each other, and others: of an answer no more is read than it may have, of bytes and of time.

Whoever holds a neighbour's process may answer without end. What is read of it is the status and the body as it was
sent: headers would fill a jar of cookies, and a short body may say that it is a very long one, compressed.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

import httpx2
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE = 4 << 20  # bytes: twenty of the largest orders, of an export, have some 2.5 MB
DOCUMENT = 1 << 20
WORD = 64 << 10
WITHIN = 5.0  # seconds
SOME = httpx2.Limits(max_connections=100, max_keepalive_connections=20)
NOTHING: Mapping[str, str] = MappingProxyType({})


class TooLong(httpx2.TransportError):
    """An answer has more bytes than it may have."""

    def __init__(self) -> None:
        super().__init__("the answer is too long")


def at(
    url: str, shown: Mapping[str, str] = NOTHING, *, most: int, within: float = WITHIN, limits: httpx2.Limits = SOME
) -> httpx2.AsyncClient:
    """Asks whoever is at a URL, past all proxies.

    Args:
        url: the beginning of each question's.
        shown: headers of each question.
        most: the bytes that an answer may have: who sends more raises `TooLong`.
        within: the seconds that one may take from the question to its last byte: else TimeoutError.
        limits: how many connections there may be.
    """
    return _asking(httpx2.AsyncHTTPTransport(trust_env=False, limits=limits), url, shown, most, within)


def behind(app: ASGIApp, name: str) -> httpx2.AsyncClient:
    """Asks an application of this process that may pass the question on to another one, for a document at most."""
    return _asking(httpx2.ASGITransport(_Cut(app)), f"http://{name}", NOTHING, DOCUMENT, WITHIN)


def hosted(app: ASGIApp, name: str) -> httpx2.AsyncClient:
    """Asks a service of this process, which answers within its own bounds."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=f"http://{name}")


def _asking(
    transport: httpx2.AsyncBaseTransport, url: str, shown: Mapping[str, str], most: int, within: float
) -> httpx2.AsyncClient:
    headers = {"accept-encoding": "identity", **shown}
    return httpx2.AsyncClient(transport=Bounded(transport, most, within), base_url=url, headers=headers, timeout=None)


class Bounded(httpx2.AsyncBaseTransport):
    """Reads an answer whole before it hands it on: its status and its body, within bounds."""

    def __init__(self, transport: httpx2.AsyncBaseTransport, most: int, within: float) -> None:
        self._transport = transport
        self._most = most
        self._within = within

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One question and its answer."""
        async with asyncio.timeout(self._within):
            answer = await self._transport.handle_async_request(request)
            try:
                body = await _read(answer.aiter_raw(), self._most)
            finally:
                await answer.aclose()
        return httpx2.Response(answer.status_code, content=body)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._transport.aclose()


async def _read(pieces: AsyncIterator[bytes], most: int) -> bytes:
    read = bytearray()
    async for piece in pieces:
        read += piece
        if len(read) > most:
            raise TooLong
    return bytes(read)


class _Cut:
    """An application whose answer ends where it gets too long: it would be kept whole before anybody can read it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = 0

        async def counted(message: Message) -> None:
            nonlocal length
            length += len(message.get("body", b""))
            if length > DOCUMENT:
                raise TooLong
            await send(message)

        await self._app(scope, receive, counted)
        if length > DOCUMENT:
            raise TooLong  # once more: an edge keeps failures to itself
