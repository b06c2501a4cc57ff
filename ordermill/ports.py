"""Free ports of this machine, outside the range that the kernel gives to outgoing connections.

A port inside that range could be taken by a client's own socket while a killed server is coming back.
"""

import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path

from ordermill.errors import Failure

LOWEST = 10_000
HIGHEST = 32_000
HOST = "127.0.0.1"
LISTENER = "ORDERMILL_LISTENER"
WAITING = 2_048
REUSE_PORT = socket.SO_REUSEPORT if sys.platform == "linux" else 0


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    return _takes(port, socket.SO_REUSEADDR)


def is_holdable(port: int) -> bool:
    """Whether it could be held: unlike a server, nobody can where connections of another one are not forgotten yet."""
    return is_free(port) and (not REUSE_PORT or _takes(port, REUSE_PORT))


def _takes(port: int, option: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def start_of(checkout: Path) -> int:
    """Where this checkout begins to look, so that two checkouts rarely meet."""
    spread = int.from_bytes(sha256(str(checkout).encode()).digest()[:4])
    return LOWEST + spread % (HIGHEST - LOWEST)


def find_free(preferred: int | None, start: int, taken: set[int], will_do: Callable[[int], bool] = is_free) -> int:
    """The preferred port when it is free, else the first free one after `start`."""
    if preferred and preferred not in taken and will_do(preferred):
        return preferred
    span = HIGHEST - LOWEST
    candidates = (LOWEST + (start - LOWEST + step) % span for step in range(span))
    return next(port for port in candidates if port not in taken and will_do(port))


def listen(port: int, host: str = HOST) -> socket.socket:
    """A socket on which whoever connects waits until a process takes it over. It gets in where a port is held."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=WAITING, reuse_port=bool(REUSE_PORT))


@contextmanager
def held(ports: Iterable[int]) -> Iterator[None]:
    """Keeps other users of the machine from these ports while a server of ours is away from them.

    Beside a socket with SO_REUSEPORT the kernel of Linux lets only those in that have it, too, and are the same user's.
    This one never listens: who connects is refused while the server is away. Raises Failure when a port is taken.
    """
    with ExitStack() as stack:
        for port in ports if REUSE_PORT else ():
            holder = stack.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, REUSE_PORT, 1)
            try:
                holder.bind((HOST, port))
            except OSError:
                cause = f"Port {port} was taken a moment ago."
                raise Failure(cause, "Try again: another one is found.") from None
        yield


def inherited() -> list[socket.socket] | None:
    """The socket that the supervisor listens on for this process; None for one that listens by itself."""
    handle = os.environ.pop(LISTENER, None)
    return [socket.socket(fileno=int(handle))] if handle else None
