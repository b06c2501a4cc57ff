"""Kept connections to one instance of a service: the one that was used last is used first, and old ones are closed."""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from gateway.answer import READ_AT_ONCE, Answer

KEPT_FOR = 30.0  # less than the 65 s of our services: a connection must not be closed there while it is used again here
RESTS_FOR = 0.05  # after HEAD: a body that a service sends all the same comes right behind its head
_PORTS = {"http": 80, "https": 443}


class Unreached(Exception):
    """No connection could be made."""


@asynccontextmanager
async def _patience(seconds: float) -> AsyncIterator[None]:
    """A timeout in two halves: while this process stands still itself, on a busy machine, only one of them runs out."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        half = loop.call_later(seconds / 2, lambda: limit.reschedule(loop.time() + seconds / 2))
        try:
            yield
        finally:
            half.cancel()


class Connection(asyncio.BufferedProtocol):
    """One connection, for one request after the other.

    What is written is not held up when the service is slow to read it: a request is at most 64 KiB. What is read comes
    through a buffer of ours: the loop's own would be 256 KB of an answer that its client may never read.

    Args:
        buffer: shared by all connections of a loop; what comes is taken out of it at once.
    """

    _transport: asyncio.Transport
    _answer: Answer | None = None
    is_open = True
    was_used = False

    def __init__(self, buffer: bytearray) -> None:
        self._buffer = buffer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 -- asyncio's own name for what we do not heed
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._answer is None or self._answer.is_whole:
            self.close()  # nobody asked for it
        else:
            self._answer.feed(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> None:
        self.is_open = False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- however it ended, it ended
        self.is_open = False
        if self._answer is not None and not self._answer.is_whole:
            self._answer.end()

    def ask(self, method: str, request: bytes) -> Answer:
        """Sends a request, or its beginning."""
        self.was_used = self._answer is not None
        self._answer = Answer(method, self._hold)
        self._transport.write(request)
        return self._answer

    def write(self, piece: bytes) -> None:
        """Sends more of the request, as long as somebody is there to hear it."""
        if self.is_open:
            self._transport.write(piece)

    def close(self) -> None:
        """Ends it at once."""
        self.is_open = False
        self._transport.abort()

    def is_free(self) -> bool:
        """Whether another request may be sent on it."""
        answer = self._answer
        return self.is_open and answer is not None and answer.is_whole and answer.keeps_connection

    @property
    def may_say_more(self) -> bool:
        """Whether a body may follow that nobody asked for: the answer to HEAD is as long as it says only elsewhere."""
        return self._answer is not None and self._answer.is_head

    def _hold(self, held: bool) -> None:  # noqa: FBT001 -- the one question it answers
        if held:
            self._transport.pause_reading()
        elif self.is_open:
            self._transport.resume_reading()


class Connections:
    """The connections to one instance."""

    def __init__(self, url: str, connect_within: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        parts = urlsplit(url)
        self.name = parts.netloc.rpartition("@")[2]
        self.base = parts.path.rstrip("/").encode()
        self._host, self._port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        # Made once: reading the certificates takes 70 ms.
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._connect_within = connect_within
        self._clock = clock
        self._idle: deque[tuple[float, Connection]] = deque()
        self._resting: set[Connection] = set()
        self._buffer = bytearray(READ_AT_ONCE)

    async def take(self, *, new: bool = False) -> Connection:
        """A connection for one request.

        Raises:
            Unreached: when none can be made in time.
        """
        while self._idle and not new:
            connection = self._idle.pop()[1]
            if connection.is_open:
                return connection
        return await self._connect()

    def give_back(self, connection: Connection) -> None:
        """It is kept when its last request was answered whole, and the service keeps it too."""
        now = self._clock()
        if not connection.is_free():
            connection.close()
        elif connection.may_say_more:
            self._rest(connection)
        else:
            self._idle.append((now, connection))
        self._close_before(now - KEPT_FOR)

    def close(self) -> None:
        """Closes what is not in use."""
        self._close_before(float("inf"))
        for each in self._resting:
            each.close()

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with _patience(self._connect_within):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._buffer), self._host, self._port, ssl=self._tls
                )
        except (OSError, TimeoutError) as failure:
            raise Unreached(repr(failure)) from failure
        return connection

    def _rest(self, connection: Connection) -> None:
        """Waits for what may come before another request is sent on it; whatever comes meanwhile closes it.

        By the loop's own time: what has come is read before, however long this process stood still.
        """

        def rested() -> None:
            self._resting.discard(connection)
            if connection.is_open:
                self._idle.append((self._clock(), connection))

        self._resting.add(connection)
        asyncio.get_running_loop().call_later(RESTS_FOR, rested)

    def _close_before(self, moment: float) -> None:
        while self._idle and self._idle[0][0] < moment:
            self._idle.popleft()[1].close()
