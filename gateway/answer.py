"""A service's answer as it comes over the wire: bytes are fed in, a head and pieces of a body come out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

import httptools

from gateway.headers import Headers

READ_AT_ONCE = 32 * 1024
HELD_AT_MOST = 32 * 1024  # bytes that wait for a client; then the service is not read any more until they are gone
HEAD_LIMIT = 64 * 1024
FOR_NOBODY = 256 * 1024  # bytes of a body that are read for the connection's sake, when its client has left
_WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
_SAYS_LENGTH = {b"content-length", b"transfer-encoding"}


class Lost(Exception):
    """The service ended the connection before its answer was whole."""


class Broken(Exception):
    """What the service said is not HTTP/1.1."""


class Answer:
    """One answer. `hold` is called with True when it comes faster than it is taken, and with False afterwards."""

    def __init__(self, method: str, hold: Callable[[bool], None]) -> None:
        self.status = 0
        self.headers: Headers = []
        self.is_whole = False
        self.keeps_connection = False
        self.has_begun = False
        self.is_head = method == "HEAD"
        self._ends_with_connection = False
        self._failure: Exception | None = None
        self._left: Exception | None = None
        self._for_nobody = FOR_NOBODY
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_held = False
        self._hold = hold
        self._news: asyncio.Future[None] | None = None
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Bytes came."""
        self.has_begun = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as failure:
            self.fail(failure.__context__ if isinstance(failure.__context__, Broken) else Broken(repr(failure)))
        if self.is_head and self.is_whole and not data.endswith(b"\n"):
            self.keeps_connection = False
        self._wake()

    def end(self) -> None:
        """The connection has ended, which is the end of an answer that says no length."""
        if self._ends_with_connection:
            self.is_whole = True
            self._wake()
        else:
            self.fail(Lost())

    def fail(self, failure: Exception) -> None:
        """Nothing more will come; whoever reads is told why."""
        self.keeps_connection = False
        if not self.is_whole:
            self._failure = self._failure or failure
            self._wake()

    def leave(self, failure: Exception) -> None:
        """Nobody wants it any more. A short one is read to its end, so that its connection is kept; no other is."""
        self._left = failure
        if self.status and self.is_endless:
            self.fail(failure)

    @property
    def is_endless(self) -> bool:
        """Whether it is a stream, which would not end by itself."""
        return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in self.headers)

    def on_message_begin(self) -> None:
        """Called by the parser; a second answer is one that nobody asked for."""
        if self.is_whole:
            self.keeps_connection = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._size += len(name) + len(value)
        if self._size > HEAD_LIMIT:
            message = "its head is too long"
            raise Broken(message)
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Called by the parser. Before the answer itself there may be others, 1xx, which are for us alone."""
        status = self._parser.get_status_code()
        if status < HTTPStatus.OK:
            self.headers = []
            return
        says_length = not _SAYS_LENGTH.isdisjoint([name for name, _ in self.headers])
        self._ends_with_connection = not says_length and status not in _WITHOUT_BODY
        self.keeps_connection = self._parser.should_keep_alive()
        self.is_whole = self.is_head
        self.status = status
        self._size = 0
        if self._left is not None:
            self.leave(self._left)

    def on_chunk_header(self) -> None:
        """Called by the parser."""
        if self.is_head:  # what has no body has no chunks; one that is there all the same is no answer to anything
            self.keeps_connection = False

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        if self.is_whole:
            self.keeps_connection = False
            return
        if self._left is not None:
            self._for_nobody -= len(body)
            if self._for_nobody < 0:
                self.fail(self._left)
        self._pieces.append(body)
        self._size += len(body)
        if self._size > HELD_AT_MOST and not self._is_held:
            self._is_held = True
            self._hold(True)  # noqa: FBT003 -- the one question it answers

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.is_whole = self.is_whole or self.status > 0

    async def head(self) -> None:
        """Returns when status and headers are there.

        Raises:
            Lost: when the connection ended before.
            Broken: when it is no answer.
        """
        while not self.status:
            await self._more()

    async def pieces(self, silence_within: float) -> AsyncIterator[bytes]:
        """The body as it comes.

        Raises:
            TimeoutError: when nothing came for that many seconds.
            Lost: when the connection ended before it was whole.
            Broken: when it is no answer.
        """
        while self._pieces or not self.is_whole:
            if self._pieces:
                yield self.taken()
            else:
                async with asyncio.timeout(silence_within):
                    await self._more()

    def taken(self) -> bytes:
        """What came of the body since the last time."""
        pieces, self._pieces, self._size = self._pieces, [], 0
        if self._is_held:
            self._is_held = False
            self._hold(False)  # noqa: FBT003 -- the one question it answers
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _more(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
