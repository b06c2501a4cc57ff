"""What of a request and of its answer passes through a proxy: the body piece by piece, the headers from end to end."""

from collections.abc import Iterable
from urllib.parse import quote

from starlette.types import Receive, Scope

from chassis.assertions import NAME, Asserter
from gateway.connections import Connection
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
_TOLD_BY_US = {NAME, b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"}
_BANNERS = {b"server", b"x-powered-by"}
_LENGTHS = {b"content-length", b"transfer-encoding"}
# What a client may not take away by naming it in `Connection`: its body would be read as another request.
_STAYS = {b"content-length", b"traceparent", b"x-request-id"}


class ClientGone(Exception):
    """The client left before it was answered."""


class Unsayable(Exception):
    """The request cannot be said in HTTP/1.1: it would be read as something else."""


class Body:
    """A request's body as it comes, and afterwards the news that the client has left.

    What came is kept until the service answers, at most 64 KiB, so that it can be said once more to another instance.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        names = {name for name, _ in scope["headers"]}
        self._is_chunked = b"transfer-encoding" in names
        self.is_read = names.isdisjoint(_LENGTHS)
        self.so_far = b""

    async def open(self) -> None:
        """Reads the first piece, which nearly always is all of it.

        Raises:
            ClientGone: when the client has left.
        """
        if not self.is_read:
            self.so_far = await self._next()

    async def pass_on(self, connection: Connection) -> None:
        """Sends the rest as it comes, then waits for the client to leave.

        Raises:
            ClientGone: when it has left.
        """
        while not self.is_read:
            piece = await self._next()
            self.so_far += piece
            connection.write(piece)
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise ClientGone

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.is_read = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return self._chunk(piece) if self._is_chunked else piece

    def _chunk(self, piece: bytes) -> bytes:
        chunk = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        return chunk + b"0\r\n\r\n" if self.is_read else chunk


def request_head(scope: Scope, base: bytes, asserter: Asserter | None = None) -> bytes:
    """The request's line and headers, as the service reads them, with what shows that they are ours.

    Raises:
        Unsayable: when a part of it holds what ends a line or a word.
    """
    path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    query: bytes = scope["query_string"]
    target = base + path + (b"?" + query if query else b"")
    headers = request_headers(scope, asserter)
    head = b"".join(
        (
            b"%b %b HTTP/1.1\r\n" % (scope["method"].encode(), target),
            *(b"%b: %b\r\n" % pair for pair in headers),
            b"\r\n",
        )
    )
    if head.count(b"\n") + head.count(b"\r") != 2 * len(headers) + 4 or b" " in target or b"\0" in head:
        raise Unsayable
    return head


def request_headers(scope: Scope, asserter: Asserter | None = None) -> Headers:
    """The headers for the service: the client's address and scheme are told by us, whatever the client claims.

    Where we say who asks, their token stays here: it would be good at every service.
    """
    given: Headers = list(scope["headers"])
    kept = [pair for pair in _end_to_end(given) if pair[0] not in _TOLD_BY_US]
    if any(name == b"transfer-encoding" for name, _ in given):
        kept = [pair for pair in kept if pair[0] != b"content-length"]
        kept.append((b"transfer-encoding", b"chunked"))
    if client := scope.get("client"):
        kept.append((b"x-forwarded-for", client[0].encode()))
    kept.append((b"x-forwarded-proto", scope["scheme"].encode()))
    if asserter:
        if (caller := scope.get("asker")) is not None:
            kept = [pair for pair in kept if pair[0] != b"authorization"]
        kept.append((NAME, asserter.said(caller)))
    return kept


def answer_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers for the client, who need not know what serves it."""
    return [pair for pair in _end_to_end(list(headers)) if pair[0] not in _BANNERS]


def _end_to_end(headers: Headers) -> Headers:
    kept = [pair for pair in headers if pair[0] not in HOP_BY_HOP]
    if len(kept) == len(headers):  # `Connection` is among those: nothing else is named by it
        return kept
    named = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    gone = named - _STAYS  # once: a head of a thousand names and ten thousand headers held up everybody for a second
    return [pair for pair in kept if pair[0] not in gone]
