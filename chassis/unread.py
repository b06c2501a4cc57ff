"""Clients who do not read what they asked for: they have as long as for asking, and leave where others come."""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from chassis.admission import HERE
from chassis.permits import Permit

PATIENCE = 30.0
BEHIND = 128 * 1024  # bytes: what may stand behind what is written of an answer that is not whole


class Unread(HttpToolsProtocol):
    """A connection, as far as its client reads. Whatever is left of an answer, however little, has its time."""

    admission = HERE
    patience = PATIENCE
    cycle: RequestResponseCycle | None  # type: ignore[assignment]
    _current: RequestResponseCycle | None = None  # the one that was started last; others may wait behind it
    _permit: Permit | None = None  # of the request that was started last, unless that is a probe
    _stalled: TimerHandle | None = None
    _resting: Permit | None = None
    _gives_way = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """From now on its client reads, or is known not to."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody reads any more."""
        self._resumed()
        super().connection_lost(exc)

    @property
    def is_unread(self) -> bool:
        """Whether a part of an answer is still here."""
        return self._stalled is not None

    @property
    def is_answering(self) -> bool:
        """Whether an answer has begun and is not whole."""
        return self._current is not None and self._current.response_started and not self._current.response_complete

    @property
    def left(self) -> int:
        """Bytes of the answer that wait here for its client: what is written, and what may stand behind that."""
        return self.transport.get_write_buffer_size() + (BEHIND if self.is_answering else 0)

    @property
    def may_give_way(self) -> bool:
        """Whether it is there and no request of it is at work; one that ends ends only once its answer is read."""
        is_free = self._current is None or self._current.response_complete
        return is_free and not self._gives_way and (self.is_unread or not self.transport.is_closing())

    def give_way(self) -> None:
        """Ends for a newcomer's sake; what its client has not read by now is lost."""
        self._gives_way = True
        if self.is_unread:
            self.transport.abort()
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        """The client does not read what it asked for; it is given as long as for asking, and asks nothing meanwhile."""
        super().pause_writing()
        self.flow.pause_reading()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.patience, self.transport.abort)
            self._rest()
        self.admission.stalls(self)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self._resumed()
        self.flow.resume_reading()

    def _resumed(self) -> None:
        if self._stalled is not None:
            self.admission.reads(self)
            self._stalled.cancel()
            self._stalled = None
            self._rest_no_more()

    def _rest(self) -> None:
        """Whose client does not read its answer is no work, and keeps nobody from asking."""
        if self.is_answering and self._permit is not None:
            self._resting = self._permit
            self._resting.rest()

    def _rest_no_more(self) -> None:
        if self._resting is not None:
            self._resting.go_on()
            self._resting = None
