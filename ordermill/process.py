"""One child process: how it is started, when it is ready, how it is ended, and that it never outlives its parent."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from ordermill import nursery
from ordermill.ours import appending
from ordermill.ports import LISTENER, listen

Status = Literal["stopped", "starting", "ready", "unready", "silent", "restarting", "stopping"]
PR_SET_PDEATHSIG = 1
POLL_EACH = 0.05
RETRY_EACH = 0.5


def argv_of(module: str) -> tuple[str, ...]:
    """The command line of a module of ours. It is never looked for in the current folder, where others may write."""
    return sys.executable, "-P", "-m", module


def python_path() -> str:
    """PYTHONPATH of what we start: where our own code is, whatever folder we were called in, and what there was."""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)  # an empty name is the current folder
    return os.pathsep.join((str(Path(__file__).parents[1]), *filter(None, named)))


ORDERMILL = argv_of("ordermill")


class Child(Protocol):
    """A process that we have started, one way or the other."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    async def wait(self) -> int | None:
        """What it ended with, where that is known."""


async def nothing() -> None:
    """Do nothing, before a start that needs no preparation."""


async def always() -> bool:
    """Be ready as soon as it is started."""
    return True


@dataclass(frozen=True)
class Spec:
    """What a process is: its command line, its environment and its checks. Times are in seconds.

    ``listens`` is the port whose socket is ours: it stays open while the process comes back, and nobody is refused.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    user: tuple[int, int] | None = None
    before: Callable[[], Awaitable[None]] = nothing
    ready: Callable[[], Awaitable[bool]] = always
    alive: Callable[[], Awaitable[bool]] = always
    after_ready: Callable[[], Awaitable[None]] = nothing
    url: str | None = None
    rank: int = 0
    listed: bool = True
    nursery: Path | None = None
    listens: int | None = None
    ready_within: float = 60
    grace: float = 10
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL


class Running:
    """A spec at work: its pid, its status, how often it came back."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.status: Status = "stopped"
        self.restarts = 0
        self.child: Child | None = None
        self.started_at = 0.0
        self.became_ready = asyncio.Event()
        self.has_been_ready = False
        self.trouble = ""
        self._listener: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        return self.child.pid if self.child and self.child.returncode is None else None

    async def spawn(self) -> Child:
        """Start the process in a session of its own, so that Ctrl+C reaches the supervisor only."""
        await self.spec.before()
        self.became_ready.clear()
        self.started_at = time.monotonic()
        self.status = "starting"
        if self.spec.listens and not self._listener:
            self._listener = listen(self.spec.listens)
        self.child = await self._fork() or await self._execute()
        return self.child

    async def _fork(self) -> Child | None:
        spec = self.spec
        words = spec.argv[len(ORDERMILL) :]
        if not spec.nursery:
            return None
        return await nursery.fork(spec.nursery, nursery.Request(words, spec.env, spec.log, self._listener))

    async def _execute(self) -> Child:
        kept = [self._listener.fileno()] if self._listener else []
        told = {LISTENER: str(kept[0])} if kept else {}
        with appending(self.spec.log) as log:
            return await asyncio.create_subprocess_exec(
                *self.spec.argv,
                env={**self.spec.env, **told},
                pass_fds=kept,
                cwd=self.spec.cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o077,
                preexec_fn=die_with_parent(self.spec.orphan_signal),
                **_as_user(self.spec.user),
            )

    async def await_ready(self) -> bool:
        """Whether it became ready, and the step after it was done, before it ended; tried again as long as it runs."""
        child = self.child
        while child and child.returncode is None:
            if await self.spec.ready() and await self._finish_start():
                self.status = "ready"
                self.has_been_ready = True
                self.became_ready.set()
                return True
            await asyncio.sleep(POLL_EACH)
        return False

    async def _finish_start(self) -> bool:
        try:
            await self.spec.after_ready()
        except Exception as error:  # noqa: BLE001  the step is not ours; it is tried again and told if it never works
            self.trouble = f"{type(error).__name__}: {error}"
            await asyncio.sleep(RETRY_EACH)
            return False
        self.trouble = ""
        return True

    async def stop(self) -> None:
        """Ask it to end; after the grace, end it and all that it started."""
        child = self.child
        if not child:
            return
        self.status = "stopping"
        self.signal(self.spec.stop_signal)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), self.spec.grace)
        if self.child is child:  # and not the next one: whoever waited as well may have started it
            self.kill_group()
            await child.wait()
        if self.child is child:
            self.status = "stopped"

    def close(self) -> None:
        """Listen no more: who waited is refused."""
        if self._listener:
            self._listener.close()
            self._listener = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, when it is there."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill_group(self) -> None:
        """End the process and what it started, at once."""
        if self.child:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, signal.SIGKILL)


def _as_user(user: tuple[int, int] | None) -> dict[str, Any]:
    return {"user": user[0], "group": user[1], "extra_groups": []} if user else {}


def die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """What a child does before it becomes its program: on Linux the kernel ends it when we die."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask_the_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(1)

    return ask_the_kernel
