"""A TCP line between the services and a server: it can be cut, held, made slow, or made to forget its connections."""

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Self

from ordermill.ports import HOST

PIECE = 65_536
RESETS = struct.pack("ii", 1, 0)  # closing does not wait: the other side sees a reset


class Flow:
    """One connection that goes through a line."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self.moving = asyncio.Event()
        self.moving.set()
        self._writers = writers

    def end(self) -> None:
        """Both sides see a reset."""
        for writer in self._writers:
            with suppress(OSError):  # that side has ended already
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
            writer.transport.abort()


Choice = Callable[[Sequence[Flow]], Sequence[Flow]]


class Line:
    """Listens on a port of its own and passes everything on to the port of a server."""

    def __init__(self, port: int, far: int) -> None:
        self.lag = 0.0
        self.flows: list[Flow] = []
        self._port = port
        self._far = far
        self._open = asyncio.Event()
        self._open.set()
        self._carrying: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, HOST, self._port, backlog=500)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    def cut(self, choose: Choice) -> None:
        """Ends these connections with a reset; new ones are possible."""
        for flow in choose(self.flows):
            flow.end()

    def hold(self) -> None:
        """Passes nothing on from now, and refuses nobody: what is sent meanwhile arrives late."""
        self._open.clear()

    def resume(self) -> None:
        """Passes on again, first what was held."""
        self._open.set()

    def forget(self, choose: Choice) -> Sequence[Flow]:
        """Leaves these connections half open: neither side hears anything of the other, nor that it has gone."""
        forgotten = tuple(choose(self.flows))
        for flow in forgotten:
            flow.moving.clear()
        return forgotten

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connect(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._open.wait()
            far_reader, far_writer = await asyncio.open_connection(HOST, self._far)
        except OSError:
            Flow(writer).end()
        except asyncio.CancelledError:
            Flow(writer).end()
            raise
        else:
            await self._carry(Flow(writer, far_writer), (reader, far_writer), (far_reader, writer))

    async def _carry(self, flow: Flow, *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self.flows.append(flow)
        both = [asyncio.create_task(self._pass_on(flow, *way)) for way in ways]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.flows.remove(flow)
            flow.end()
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _pass_on(self, flow: Flow, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(PIECE):
                await self._open.wait()
                await flow.moving.wait()
                if self.lag:
                    await asyncio.sleep(self.lag)
                writer.write(piece)
                await writer.drain()
