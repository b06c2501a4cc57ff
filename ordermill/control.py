"""How commands from another terminal reach the running supervisor: one JSON line each way over a Unix socket."""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from ordermill.errors import Exit, Failure
from ordermill.state import State, not_running

Answer = dict[str, Any]
Command = Callable[..., Awaitable[Answer]]
LONGEST_ANSWER = 1 << 20


@asynccontextmanager
async def serving(state: State, commands: dict[str, Command]) -> AsyncIterator[None]:
    """Answer commands by name until the block ends; only this user may ask."""
    path = state.control_socket
    path.unlink(missing_ok=True)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError):
            question = json.loads(await reader.readline())
            writer.write(json.dumps(await _answer(commands, question)).encode() + b"\n")
            await writer.drain()
        writer.close()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)  # before anybody can connect
        server = await asyncio.start_unix_server(converse, sock=listener)
        try:
            yield
        finally:
            server.close()
            path.unlink(missing_ok=True)


async def _answer(commands: dict[str, Command], question: Answer) -> Answer:
    try:
        return await commands[question.pop("do")](**question)
    except Failure as failure:
        return {"failure": failure.message, "mend": failure.mend, "code": int(failure.code)}


async def ask(state: State, do: str, **question: Any) -> Answer:
    """The answer of the running supervisor to a command.

    Raises Failure when nothing runs, or with what the supervisor says against the command.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(state.control_socket, limit=LONGEST_ANSWER)
    except OSError:
        raise not_running() from None
    writer.write(json.dumps({"do": do, **question}).encode() + b"\n")
    line = await reader.readline()
    writer.close()
    answer: Answer = json.loads(line or b"{}")
    if "failure" in answer:
        raise Failure(answer["failure"], answer["mend"], Exit(answer["code"]))
    return answer


async def until_stopped(state: State, within: float) -> bool:
    """Whether the shop's lock was freed in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            while state.is_running():  # noqa: ASYNC110  another process frees the lock
                await asyncio.sleep(0.05)
            return True
    return False


def is_alive(pid: int) -> bool:
    """Whether a process of this id is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
