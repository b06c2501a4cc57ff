"""Ends the children of a supervisor that was killed, where the kernel does not do it (anything but Linux).

A small process holds the reading end of a pipe; when the supervisor is gone the pipe closes, and it ends the rest.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable

from ordermill.process import argv_of


class Watch:
    """The supervisor's end of the pipe; does nothing where the kernel ends orphans itself."""

    def __init__(self, *, needed: bool = sys.platform != "linux") -> None:
        self.process = _start() if needed else None

    def add(self, pid: int) -> None:
        self._tell(f"+{pid}")

    def remove(self, pid: int) -> None:
        self._tell(f"-{pid}")

    def close(self) -> None:
        """Everything has ended in good order."""
        if self.process and self.process.stdin:
            self.process.stdin.close()
            self.process.wait()

    def _tell(self, line: str) -> None:
        if self.process and self.process.stdin:
            self.process.stdin.write(f"{line}\n".encode())
            self.process.stdin.flush()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv_of("ordermill.watch"), stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603  the program and its words are ours


def orphans(lines: Iterable[str]) -> set[int]:
    """Who was started and not seen to end, when the pipe closes."""
    pids: set[int] = set()
    for line in lines:
        sign, pid = line[0], int(line[1:])
        pids = pids | {pid} if sign == "+" else pids - {pid}
    return pids


def end(pids: Iterable[int]) -> None:
    """End each process with its group."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end(orphans(sys.stdin))
