"""A process that has imported everything once and forks itself into our processes: a start costs 50 ms instead of 3 s.

It listens on a Unix socket for one request a connection: a JSON line with a command line, an environment and a log; it
answers with the process's id, and once that has ended with its exit code. Linux only; elsewhere, and while it is away,
processes are started the long way.
"""

import asyncio
import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ordermill.ports import LISTENER

WARM = (
    "uvloop",
    "httptools",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.lifespan.on",
    "ordermill.cli",
    "ordermill.commands.run",
    "ordermill.host",
    "ordermill.audit.watching",
    "order_service.main",
    "inventory_service.main",
    "payment_service.main",
    "payment_service.simulator",
    "notification_service.main",
    "auth_service.main",
    "gateway.main",
)
PATIENCE = 5.0
CODE_WITHIN = 1.0  # seconds from the end of a process; only a nursery that is frozen takes longer
LONGEST_REQUEST = 1 << 20
_ENDED = b"ended "  # before an exit code: a bare number is a process


class Forked:
    """A process that the nursery has forked, seen through its pidfd: we are not its parent."""

    def __init__(self, pid: int, connection: socket.socket | None = None) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._connection = connection
        self._ended = asyncio.get_running_loop().create_future()
        try:
            self._handle = os.pidfd_open(pid)
        except ProcessLookupError:
            self._end()
        else:
            asyncio.get_running_loop().add_reader(self._handle, self._close)

    async def wait(self) -> int | None:
        """Return when it has ended: with its exit code, as far as its real parent tells it in time."""
        await asyncio.shield(self._ended)
        if (code := await asyncio.shield(self._code)) is not None:
            self.returncode = code
        return code

    def _close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._handle)
        os.close(self._handle)
        self._end()

    def _end(self) -> None:
        self.returncode = 0
        self._code = asyncio.ensure_future(asyncio.to_thread(_code, self._connection))
        self._ended.set_result(None)


class Request(NamedTuple):
    """What a new process is to be: an `ordermill` command, its environment, its log, the socket that it listens on."""

    arguments: Sequence[str]
    env: Mapping[str, str]
    log: Path
    listener: socket.socket | None = None


async def fork(nursery: Path, request: Request) -> Forked | None:
    """A new process; None when the nursery is away."""
    asking = asyncio.ensure_future(asyncio.to_thread(_ask, nursery, request))
    try:
        pid, connection = await asyncio.shield(asking)
    except OSError:
        return None
    except asyncio.CancelledError:
        asking.add_done_callback(_let_go)
        raise
    return Forked(pid, connection) if pid else None


def _let_go(asking: "asyncio.Future[tuple[int, socket.socket]]") -> None:
    """Of what nobody waits for any more."""
    if not asking.cancelled() and not asking.exception():
        asking.result()[1].close()


def _ask(nursery: Path, request: Request) -> tuple[int, socket.socket]:
    """The new process's id, 0 when none came, and where its exit code comes."""
    arguments, env, log, listener = request
    line = json.dumps({"arguments": list(arguments), "env": dict(env), "log": str(log)}).encode() + b"\n"
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(socket.socket(socket.AF_UNIX))
        connection.settimeout(PATIENCE)
        connection.connect(str(nursery))
        if listener:
            socket.send_fds(connection, [line[:1]], [listener.fileno()])
            line = line[1:]
        connection.sendall(line)
        told = _line(connection).strip()
        pid = int(told) if told.isdigit() else 0
        if pid:
            stack.pop_all()
        return pid, connection


def _line(connection: socket.socket) -> bytes:
    """Byte by byte: what comes after it is not for now."""
    line = b""
    while not line.endswith(b"\n") and (byte := connection.recv(1)):
        line += byte
    return line


def _code(connection: socket.socket | None) -> int | None:
    """What a process has ended with; None where nobody says so in time."""
    if connection is None:
        return None
    with connection, contextlib.suppress(OSError, ValueError):
        connection.settimeout(CODE_WITHIN)
        return int(_line(connection).removeprefix(_ENDED))
    return None


async def is_open(nursery: Path) -> bool:
    """Whether the nursery has imported everything and takes requests."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_unix_connection(nursery)
        writer.close()
        return True
    return False


def serve(path: Path) -> dict[str, Any]:
    """Fork a process for each request; returns in the new process only, with its request."""
    for name in WARM:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    asked: dict[int, socket.socket] = {}
    signal.signal(signal.SIGCHLD, lambda *_: _collect(asked))
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            if _is_the_child(connection, asked):
                with connection:
                    return _read(connection) or os._exit(0)  # at once: nothing was begun


def _collect(asked: dict[int, socket.socket]) -> None:
    """Tells whoever has asked for a process what it ended with."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with asked.pop(ended[0]) as connection, contextlib.suppress(OSError):
                connection.sendall(_ENDED + f"{os.waitstatus_to_exitcode(ended[1])}\n".encode())


def _is_the_child(connection: socket.socket, asked: dict[int, socket.socket]) -> bool:
    """In the new process. It reads its request itself: what the nursery had read, all that come later would inherit."""
    from ordermill.process import die_with_parent

    begin = die_with_parent(signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # until it is noted who asked for which
    try:
        pid = os.fork()
    except OSError:  # there is no room for one more: whoever asks starts it the long way, and we stay for the others
        connection.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        return False
    if pid:
        asked[pid] = connection
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        return False
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    for other in asked.values():
        other.close()
    os.setsid()
    if begin:
        begin()
    return True


def _read(connection: socket.socket) -> dict[str, Any] | None:
    """What this process is to be; its id is the answer. None where nobody waits: it would be in nobody's care."""
    connection.settimeout(PATIENCE)
    with contextlib.suppress(OSError, ValueError), connection.makefile("rb") as stream:
        first, handles, _, _ = socket.recv_fds(connection, 1, 1)
        if (line := first + stream.readline(LONGEST_REQUEST)) and not _has_left(connection):
            request = {**json.loads(line), "listener": next(iter(handles), None)}
            connection.sendall(f"{os.getpid()}\n".encode())
            return request
    return None


def _has_left(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(PATIENCE)


def become(request: Mapping[str, Any]) -> None:
    """Be the requested process from now on: its output, its environment, its command line."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # SIGTERM is as it was: coverage may write on it.
    with Path(request["log"]).open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ.clear()
    os.environ.update(request["env"])
    if request["listener"] is not None:
        os.environ[LISTENER] = str(request["listener"])
    from ordermill.cli import main

    main(request["arguments"])


if __name__ == "__main__":
    become(serve(Path(sys.argv[1])))
