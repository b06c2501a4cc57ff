"""Free ports of this machine, outside the range that the kernel gives to outgoing connections.

A port inside that range could be taken by a client's own socket while a killed server is coming back.
"""

import socket
from hashlib import sha256
from pathlib import Path

LOWEST = 10_000
HIGHEST = 32_000
HOST = "127.0.0.1"


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
