"""The questions that the supervisor asks its processes: an HTTP status, the greetings of PostgreSQL and RabbitMQ."""

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

from ordermill.ports import HOST

PATIENCE = 2.0
PROTOCOL_3 = 196_608


async def exchange(at: int | Path, question: bytes, length: int) -> bytes:
    """The first bytes of the answer to a question, at a port or a socket; nothing when nobody answers in time."""
    connecting = asyncio.open_unix_connection(at) if isinstance(at, Path) else asyncio.open_connection(HOST, at)
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await connecting
            try:
                writer.write(question)
                return await reader.readexactly(length)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return b""


def answers_ok(port: int, path: str) -> Callable[[], Awaitable[bool]]:
    """Whether GET of a path is answered 200."""
    question = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()

    async def ask() -> bool:
        answer = await exchange(port, question, len(b"HTTP/1.1 200"))
        return answer.endswith(b" 200")

    return ask


def postgres_answers(at: int | Path) -> Callable[[], Awaitable[bool]]:
    """Whether PostgreSQL asks for a password; while it recovers it answers an error instead."""
    parameters = b"user\0ordermill\0database\0ordermill\0\0"
    question = struct.pack("!ii", 8 + len(parameters), PROTOCOL_3) + parameters

    async def ask() -> bool:
        return await exchange(at, question, 1) == b"R"

    return ask


def rabbitmq_answers(port: int) -> Callable[[], Awaitable[bool]]:
    """Whether RabbitMQ opens the AMQP 0-9-1 dialogue."""

    async def ask() -> bool:
        return await exchange(port, b"AMQP\0\0\x09\x01", 1) == b"\x01"

    return ask


def epmd_answers(port: int) -> Callable[[], Awaitable[bool]]:
    """Whether Erlang's port mapper answers a question for all names."""
    question = b"\0\1n"

    async def ask() -> bool:
        return await exchange(port, question, 4) == struct.pack("!I", port)

    return ask
