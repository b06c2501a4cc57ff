"""How a connection ends whose client may still be sending: what it was answered is not lost with it (RFC 9112, 9.6).

A connection that is closed while something comes is reset, and a reset may take along what was answered last. So our
half ends first; what comes then is dropped, until the client has ended its half, for a while, and up to a size.
"""

from asyncio import TimerHandle

from chassis.ahead import Ahead
from chassis.unread import Unread

PARTS_WITHIN = 2.0
DROPPED_AT_MOST = 256 * 1024


class Parting(Unread):
    """A connection, as far as it ends."""

    flow: Ahead
    _parting: TimerHandle | None = None
    _dropped = 0

    @property
    def is_parting(self) -> bool:
        """Whether nothing is answered any more, and what comes is dropped."""
        return self._parting is not None

    def part(self, *, more_may_come: bool) -> None:
        """Ends the connection behind what is answered: at once, or once its client has had time to hear of it."""
        if not more_may_come or not self.transport.can_write_eof() or self.transport.is_closing():
            self.transport.close()
        elif self._parting is None:
            self.transport.write_eof()
            self._parting = self.loop.call_later(PARTS_WITHIN, self.transport.close)
            self.flow.read_on()

    def drop(self, data: bytes) -> None:
        """What comes behind the end."""
        self._dropped += len(data)
        if self.is_parting and self._dropped > DROPPED_AT_MOST:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody sends any more."""
        if self._parting is not None:
            self._parting.cancel()
        super().connection_lost(exc)
