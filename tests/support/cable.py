"""A cable between a client and a server, which a test may cut."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from ordermill.sockets import socket_in


class Cable:
    """Listens on a port of its own and passes everything on to the server."""

    def __init__(self, url: str) -> None:
        self._far = urlsplit(url)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._plugged = True
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.carried = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """The server's address, by way of this cable."""
        return self.along(self._far.geturl())

    def along(self, url: str) -> str:
        """Another user's address of the same server, by way of this cable."""
        parts, port = urlsplit(url), self._server.sockets[0].getsockname()[1]
        return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}").geturl()

    def cut(self) -> None:
        """Ends every connection at once; new ones are possible."""
        for writer in self._writers:
            writer.transport.abort()

    def freeze(self) -> None:
        """Passes nothing on from now, and ends no connection: so does a server that is frozen."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Passes on again, first what has waited."""
        self._flowing.set()

    def unplug(self) -> None:
        """Ends every connection and lets no new one through."""
        self._plugged = False
        self.cut()

    def plug(self) -> None:
        """New connections are possible again."""
        self._plugged = True

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._plugged:
            writer.transport.abort()
            return
        self.carried += 1
        far_reader, far_writer = await self._reach()
        pair = {writer, far_writer}
        self._writers |= pair
        both = [asyncio.create_task(self._pass_on(a, b)) for a, b in ((reader, far_writer), (far_reader, writer))]
        self._tasks.update(both)
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for each in pair:
            each.transport.abort()
        self._writers -= pair

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = unquote(self._far.netloc.rpartition("@")[2]).rpartition(":")
        if host.startswith("/"):
            return await asyncio.open_unix_connection(socket_in(Path(host)))
        return await asyncio.open_connection(host, port)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while part := await reader.read(65_536):
                await self._flowing.wait()
                writer.write(part)
                await writer.drain()
