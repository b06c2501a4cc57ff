"""A line between the services and a server: it can be cut, held, made slow, or made to forget its connections."""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from ordermill.ports import HOST

RESETS = struct.pack("ii", 1, 0)  # closing does not wait: the other side sees a reset


class Line:
    """Listens on a port or a socket of its own and passes everything on to that of a server; sockets know no reset."""

    def __init__(self, near: int | Path, far: int | Path) -> None:
        self.lag = 0.0
        self.far = far
        self.flows: list[Flow] = []
        self.opened = asyncio.Event()
        self.opened.set()
        self._near = near
        self._waiting: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if isinstance(self._near, Path):
            self._server = await loop.create_unix_server(lambda: Flow(self).near, self._near, backlog=500)
        else:
            self._server = await loop.create_server(lambda: Flow(self).near, HOST, self._near, backlog=500)
        return self

    async def reach(self, side: "_Side") -> None:
        """Connects one side to the server. Raises OSError when it is away."""
        loop = asyncio.get_running_loop()
        if isinstance(self.far, Path):
            await loop.create_unix_connection(lambda: side, str(self.far))
        else:
            await loop.create_connection(lambda: side, HOST, self.far)

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut(tuple)
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    def cut(self, choose: "Choice") -> None:
        """Ends these connections with a reset; new ones are possible."""
        for flow in choose(self.flows):
            flow.end()

    def hold(self) -> None:
        """Passes nothing on from now, and refuses nobody: what is sent meanwhile arrives late."""
        self.opened.clear()

    def resume(self) -> None:
        """Passes on again, first what was held."""
        self.opened.set()

    def forget(self, choose: "Choice") -> "Sequence[Flow]":
        """Leaves these connections half open: neither side hears anything of the other, nor that it has gone."""
        forgotten = tuple(choose(self.flows))
        for flow in forgotten:
            flow.moving.clear()
        return forgotten

    def wait(self, work: Coroutine[Any, Any, None]) -> None:
        """Goes on with this beside everything else."""
        task = asyncio.create_task(work)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)


class Flow:
    """One connection that goes through a line. Its sides are asyncio's protocols: a piece costs a read and a write."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.moving = asyncio.Event()
        self.moving.set()
        self.reached = asyncio.Event()
        self.near, self.far = _Near(self), _Side(self)

    async def connect(self) -> None:
        """Reaches the server, as soon as the line is open; without a server, whoever connected is reset."""
        try:
            await self.line.opened.wait()
            self.line.flows.append(self)
            await self.line.reach(self.far)
        except OSError:
            self.end()
        except asyncio.CancelledError:
            self.end()
            raise
        self.reached.set()
        if self in self.line.flows:
            self.near.read_on()
        else:  # it was ended meanwhile
            self.far.end()

    def end(self) -> None:
        """Both sides see a reset."""
        with suppress(ValueError):  # it has not begun, or has ended already
            self.line.flows.remove(self)
        self.near.end()
        self.far.end()

    @property
    def passes(self) -> bool:
        """Whether what is heard now may go on at once."""
        return not self.line.lag and all(e.is_set() for e in (self.line.opened, self.moving, self.reached))

    async def until_it_passes(self) -> None:
        await self.reached.wait()
        await self.line.opened.wait()
        await self.moving.wait()
        if self.line.lag:
            await asyncio.sleep(self.line.lag)


Choice = Callable[[Sequence[Flow]], Sequence[Flow]]


class _Side(asyncio.Protocol):
    """One side: what it hears it passes to the other one, and reads no more while that takes nothing."""

    _transport: asyncio.Transport | None = None
    _holds = _full = False

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    @property
    def _other(self) -> "_Side":
        return self._flow.far if self is self._flow.near else self._flow.near

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, piece: bytes) -> None:
        if self._flow.passes:
            self._other.write(piece)
        else:
            self._holds = True
            self._pause()
            self._flow.line.wait(self._pass_later(piece))

    async def _pass_later(self, piece: bytes) -> None:
        await self._flow.until_it_passes()
        self._holds = False
        self._other.write(piece)
        self.read_on()

    def write(self, piece: bytes) -> None:
        if self._transport:
            self._transport.write(piece)

    def _pause(self) -> None:
        if self._transport:
            self._transport.pause_reading()

    def read_on(self) -> None:
        if self._transport and not self._holds and not self._other._full:  # noqa: SLF001 -- its other half
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self._full = True
        self._other._pause()  # noqa: SLF001 -- its other half

    def resume_writing(self) -> None:
        self._full = False
        self._other.read_on()

    def connection_lost(self, _why: Exception | None) -> None:
        self._flow.end()

    def end(self) -> None:
        """It sees a reset, unless it has ended already."""
        if self._transport:
            with suppress(OSError):
                self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
            self._transport.abort()
            self._transport = None


class _Near(_Side):
    """The side that has connected: it is heard when the server is reached (Python before 3.11.4 may hear it sooner)."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._pause()
        self._flow.line.wait(self._flow.connect())
