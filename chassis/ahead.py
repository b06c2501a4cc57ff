"""Requests that come before an earlier one is answered (RFC 9112, 9.3.2): few are taken on, then nothing is read."""

from asyncio import Transport
from collections.abc import Sized

from uvicorn.protocols.http.flow_control import FlowControl

AHEAD = 8


class Ahead(FlowControl):
    """When to read. With uvicorn's each answer lets in as much as a read brings, however many requests wait already."""

    is_over = False  # no more requests are taken on

    def __init__(self, transport: Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    @property
    def is_full(self) -> bool:
        """Whether one request more is one too many."""
        return len(self._waiting) >= AHEAD

    def pause_reading(self) -> None:
        """Reads nothing for now."""
        if not self._transport.is_closing():
            super().pause_reading()

    def read_on(self) -> None:
        """Reads whatever comes: it is taken on by nobody."""
        self.is_over = True
        super().resume_reading()

    def resume_reading(self) -> None:
        """Reads on, unless requests wait for their turn, or an answer to be read."""
        is_busy = self._waiting or self.write_paused or self.is_over
        if not is_busy and not self._transport.is_closing():
            super().resume_reading()
