"""What a request may be made of: bounds on its head, the pieces of its body, and how many come ahead of their turn.

What is no request is refused in problem details, as everything else is.
"""

from asyncio import Transport

from chassis.ahead import Ahead
from chassis.parting import Parting
from chassis.refusing import NO_OTHER, NO_REQUEST, TOO_LONG, TOO_MANY, has_body, spelled_out

HEAD_LIMIT = 32 * 1024
PIECES = 2_048  # of a body: each is a call of ours, and of the longest body that is taken it has 32 bytes


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
        self._count(len(name) + len(value) + len(": \r\n"))

    def on_headers_complete(self) -> None:
        """The head is whole, the request can be answered."""
        if self.parser.should_upgrade() and has_body(dict(self.headers)):
            # The parser takes what follows such a head for another protocol's, or for the next request.
            self._refusal = NO_OTHER
            raise ValueError  # so that the parser ends
        self._reads_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._moves = True
        self._pieces += 1
        if self._pieces > PIECES:
            self._refusal = TOO_MANY
            raise ValueError  # so that the parser ends
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
            self._refusal = TOO_LONG
            raise ValueError  # so that the parser ends
