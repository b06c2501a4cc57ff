"""What of a request and of its answer passes through a proxy: the body piece by piece, the headers from end to end."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import httpx2
from starlette.types import Message, Receive, Scope

from gateway.headers import Headers

HOP_BY_HOP = {
    b"connection",
    b"expect",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
_TOLD_BY_US = {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"}


class ClientGone(Exception):
    """The client left before its request was whole."""


class Body(httpx2.AsyncByteStream):
    """A request's body as it comes, and afterwards the news that the client has left."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.receive = receive
        self._has_one = any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])
        self._read = asyncio.Event()
        if not self._has_one:
            self._read.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._read.is_set():
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            if _is_last(message):
                self._read.set()
            yield message.get("body", b"")

    async def client_gone(self) -> None:
        """Returns when the client has left after its request. Nobody else may receive then."""
        await self._read.wait()
        while (await self.receive())["type"] != "http.disconnect":
            pass


def _is_last(message: Message) -> bool:
    return not message.get("more_body", False)


def request_headers(scope: Scope) -> Headers:
    """The headers for the service: the client's address and scheme are told by us, whatever the client claims."""
    given: Headers = list(scope["headers"])
    kept = [pair for pair in _end_to_end(given) if pair[0] not in _TOLD_BY_US]
    if any(name == b"transfer-encoding" for name, _ in given):
        kept = [pair for pair in kept if pair[0] != b"content-length"]
        kept.append((b"transfer-encoding", b"chunked"))
    if client := scope.get("client"):
        kept.append((b"x-forwarded-for", client[0].encode()))
    kept.append((b"x-forwarded-proto", scope["scheme"].encode()))
    return kept


def answer_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers for the client."""
    return _end_to_end([(name.lower(), value) for name, value in headers])


def _end_to_end(headers: Headers) -> Headers:
    named = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    return [pair for pair in headers if pair[0] not in HOP_BY_HOP and pair[0] not in named]
