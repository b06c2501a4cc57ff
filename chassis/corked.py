"""The transport of one answer: its head is written together with what comes right after it, by one system call."""

from asyncio import AbstractEventLoop, Transport
from collections.abc import Callable


class Corked:
    """What ``RequestResponseCycle`` needs of a transport. A head that nothing follows at once leaves by itself.

    Args:
        end: called when the connection is to end, behind what was written.
    """

    __slots__ = ("_end", "_held", "_loop", "_transport")

    def __init__(self, transport: Transport, loop: AbstractEventLoop, end: Callable[[], None]) -> None:
        self._transport = transport
        self._loop = loop
        self._end = end
        self._held: bytes | None = None  # until something is written

    def write(self, data: bytes) -> None:
        """Holds what comes first until the loop's next turn; the rest takes it along."""
        if self._held is None:
            self._held = data
            self._loop.call_soon(self.let_go)
        else:
            self._transport.write(self._held + data)
            self._held = b""

    def is_closing(self) -> bool:
        """Whether what is written goes nowhere."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Closes the connection once everything is written."""
        self.let_go()
        self._end()

    def let_go(self) -> None:
        """Nothing follows: what is held leaves now."""
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)
