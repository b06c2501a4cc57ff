"""What a request may be made of: bounds on its head, the pieces of its body, and how many come ahead of their turn.

What is no request is refused in problem details, as everything else is.
"""

from asyncio import Transport

from chassis.ahead import Ahead
from chassis.parting import Parting
from chassis.problems import Problem
from chassis.refusing import (
    NO_OTHER,
    NO_REQUEST,
    TOO_LONG,
    TOO_MANY,
    TOO_MANY_HEADERS,
    URL_TOO_LONG,
    has_body,
    spelled_out,
)  # fmt: skip

# Each of these is looked at one by one, by us or by what parses it: until a request is known it costs 2 ms at most.
HEAD_LIMIT = 32 * 1024
URL_LIMIT = 8 * 1024
HEADERS = 100
THEIR_OWN = 10  # whoever stands before us adds some
FIELDS = 200  # of a query
PIECES = 512  # of a body: of the longest that is taken each has 128 bytes


class Bounded(Parting):
    """A connection, as far as requests are parsed."""

    url: bytes = b""
    _refusal = NO_REQUEST
    _reads_head = True
    _begun = _between = _moves = False
    _parsed = _pieces = _pending = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """From now on requests may come."""
        super().connection_made(transport)
        self.flow = Ahead(transport, self.pipeline)

    def data_received(self, data: bytes) -> None:
        """Parses what came."""
        if self.flow.is_over:
            self.drop(data)
            return
        self._between = self._moves = False
        super().data_received(data)
        # A header that does not end reaches no callback, nor does a trailer: what comes of it is counted here.
        self._pending = 0 if self._between or self._moves else self._pending + len(data)
        if self._pending > HEAD_LIMIT and not self.transport.is_closing():
            self._refusal = TOO_LONG
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """A request begins, unless too many wait for their turn: the last of them is the connection's last."""
        if self.flow.is_full and self.cycle is not None:
            self.flow.is_over, self.cycle.keep_alive = True, False
            raise ValueError  # so that the parser ends
        super().on_message_begin()
        self._begun = self._between = True
        self._parsed = self._pieces = 0

    def on_url(self, url: bytes) -> None:
        """The request's target, or a part of it."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header. A trailer is none: nobody who stands before us has looked at it (RFC 9110, 6.5.1)."""
        if self._reads_head:
            super().on_header(name, value)
            if len(self.headers) > HEADERS + (THEIR_OWN if self.admission.place else 0):
                self._refuse_as(TOO_MANY_HEADERS)
        self._count(len(name) + len(value) + len(": \r\n"))

    def on_headers_complete(self) -> None:
        """The head is whole, the request can be answered."""
        if self.parser.should_upgrade() and has_body(dict(self.headers)):
            # The parser takes what follows such a head for another protocol's, or for the next request.
            self._refuse_as(NO_OTHER)
        if len(self.url) > URL_LIMIT or self.url.count(b"&") >= FIELDS:
            self._refuse_as(URL_TOO_LONG)
        self._reads_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._moves = True
        self._pieces += 1
        if self._pieces > PIECES:
            self._refuse_as(TOO_MANY)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; what comes now is the head of the next one."""
        self._between = self._reads_head = True
        self._begun = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- uvicorn's words are not ours
        """Refuses what is no request. While the one before is being answered, the connection can only be cut."""
        if not self.flow.is_over:
            if is_next := self._is_next:
                self.transport.write(spelled_out(self._refusal, self.url))
            self.part(more_may_come=is_next)

    @property
    def _is_next(self) -> bool:
        """Whether what comes now is what has to be answered next."""
        if self.cycle is None or self.pipeline:
            return self.cycle is None
        return self.cycle.response_complete if self._reads_head else not self.cycle.response_started

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > HEAD_LIMIT:
            self._refuse_as(TOO_LONG)

    def _refuse_as(self, refusal: Problem) -> None:
        self._refusal = refusal
        raise ValueError  # so that the parser ends
