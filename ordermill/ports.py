"""Free ports of this machine, outside the range that the kernel gives to outgoing connections.

A port inside that range could be taken by a client's own socket while a killed server is coming back.
"""

import os
import socket
from hashlib import sha256
from pathlib import Path

LOWEST = 10_000
HIGHEST = 32_000
HOST = "127.0.0.1"
LISTENER = "ORDERMILL_LISTENER"
WAITING = 2_048


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def start_of(checkout: Path) -> int:
    """Where this checkout begins to look, so that two checkouts rarely meet."""
    spread = int.from_bytes(sha256(str(checkout).encode()).digest()[:4])
    return LOWEST + spread % (HIGHEST - LOWEST)


def find_free(preferred: int | None, start: int, taken: set[int]) -> int:
    """The preferred port when it is free, else the first free one after `start`."""
    if preferred and preferred not in taken and is_free(preferred):
        return preferred
    span = HIGHEST - LOWEST
    candidates = (LOWEST + (start - LOWEST + step) % span for step in range(span))
    return next(port for port in candidates if port not in taken and is_free(port))


def listen(port: int) -> socket.socket:
    """A socket on which whoever connects waits until a process takes it over."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(WAITING)
    return listener


def inherited() -> list[socket.socket] | None:
    """The socket that the supervisor listens on for this process; None for one that listens by itself."""
    handle = os.environ.pop(LISTENER, None)
    return [socket.socket(fileno=int(handle))] if handle else None
