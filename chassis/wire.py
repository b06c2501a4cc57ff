"""How bytes become requests: uvicorn's protocol, with bounds on a request's head and on the time that it may take.

What is no request is refused in problem details, as everything else is.
"""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from chassis import context
from chassis.problems import Problem

HEAD_LIMIT = 32 * 1024
PATIENCE = 30.0
_NO_REQUEST = Problem("header_invalid", "What came is not a request of HTTP/1.1.")
_TOO_LONG = Problem("header_invalid", "At most 32 KiB of headers.")


class _HeadTooLong(Exception):
    """Ends the parsing."""


class Wire(HttpToolsProtocol):
    """A connection. One that brings no whole request in time is closed, so that nobody can hold many for nothing."""

    patience = PATIENCE
    cycle: RequestResponseCycle | None  # type: ignore[assignment]
    _closing: TimerHandle | None = None
    _between: bool = False
    _parsed: int = 0
    _pending: int = 0
    _reads_head: bool = True
    _refusal: Problem = _NO_REQUEST
    url: bytes = b""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """From now on a request has to come."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self._expect_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses what came."""
        self._expect()
        self._between = False
        super().data_received(data)
        # A header that does not end reaches no callback: what comes of it is counted here.
        self._pending = 0 if self._between or not self._reads_head else self._pending + len(data)
        if self._pending > HEAD_LIMIT and not self.transport.is_closing():
            self._refusal = _TOO_LONG
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._expect()
        self._between, self._parsed = True, 0

    def on_url(self, url: bytes) -> None:
        """The request's target, or a part of it."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """The head is whole, the request can be answered."""
        self._reads_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole; what comes now is the head of the next one."""
        self._between = self._reads_head = True
        self._expect_no_more()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer has left; a request that began behind it has its whole time from now."""
        super().on_response_complete()
        if self._closing is not None:
            self._expect_no_more()
            self._expect()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- uvicorn's words are not ours
        """Refuses what is no request. While the one before is being answered, the connection can only be cut."""
        ours = not self._reads_head and self.cycle is not None and not self.cycle.response_started
        if self.cycle is None or self.cycle.response_complete or ours:
            self.transport.write(_answer(self._refusal, self.url))
        self.transport.close()

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > HEAD_LIMIT:
            self._refusal = _TOO_LONG
            raise _HeadTooLong

    def _expect(self) -> None:
        if self._closing is None:
            self._closing = self.loop.call_later(self.patience, self._give_up)

    def _expect_no_more(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def _give_up(self) -> None:
        self._closing = None
        flow: FlowControl = self.flow
        if flow.read_paused:  # it is us who do not read
            self._expect()
        else:
            self.transport.close()


def _answer(problem: Problem, url: bytes) -> bytes:
    path = url.partition(b"?")[0].decode("ascii", "replace")
    asked = context.start()
    response = problem.answer(path, asked.request_id)
    headers = [*response.raw_headers, (b"x-request-id", asked.request_id.encode()), (b"connection", b"close")]
    head = b"".join(b"%s: %s\r\n" % pair for pair in headers)
    return STATUS_LINE[problem.status] + head + b"\r\n" + bytes(response.body)
