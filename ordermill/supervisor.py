"""Keeps processes alive: starts them, restarts whatever dies, and ends them in reverse order."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

from ordermill.errors import Exit, Failure
from ordermill.process import Running, Spec, Status
from ordermill.watch import Watch

FIRST_DELAY = 0.2
LONGEST_DELAY = 3.0
LIVENESS_EACH = 5.0
LIVENESS_TRIES = 6
START_TRIES = 3
TAIL = 2_000


class Supervisor:
    """The processes of one shop. What dies comes back; what never became ready is reported with its log."""

    def __init__(self, note: Callable[[str], None], watch: Watch | None = None) -> None:
        self.note = note
        self.watch = watch or Watch()
        self.processes: dict[str, Running] = {}
        self.stopping = asyncio.Event()
        self._guards: dict[str, asyncio.Task[None]] = {}
        self._put_aside: set[str] = set()

    async def start(self, spec: Spec) -> Running:
        """Start a process and guard it from now on; it need not be ready yet."""
        running = self.processes[spec.name] = Running(spec)
        await self._spawn(running)
        self._guards[spec.name] = asyncio.create_task(self._guard(running), name=f"guard {spec.name}")
        return running

    async def start_ready(self, spec: Spec) -> Running:
        """Start a process and wait until it is ready."""
        running = await self.start(spec)
        await self.wait_ready(running)
        return running

    async def wait_ready(self, running: Running) -> None:
        """Wait until a started process is ready.

        Raises Failure with the end of its log when that takes too long, or when it ends again and again.
        """
        deadline, tries = time.monotonic() + running.spec.ready_within, running.restarts + START_TRIES
        while not running.became_ready.is_set():
            if self.stopping.is_set():
                raise asyncio.CancelledError
            if time.monotonic() > deadline or running.restarts > tries:
                raise self._failure(running)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(running.became_ready.wait(), 0.1)

    async def restart(self, name: str) -> None:
        """End a process; its guard brings it back at once."""
        running = self.find(name)
        before = running.restarts
        await running.stop()
        while running.restarts == before:  # noqa: ASYNC110  a restart is counted, not announced
            await asyncio.sleep(FIRST_DELAY / 4)
        await self.wait_ready(running)

    async def put_aside(self, name: str) -> Spec:
        """End a process and leave it ended; what to `start` when it shall run again."""
        running = self.find(name)
        await self.wait_ready(running)  # and is not between an end and a start
        self._put_aside.add(name)
        await _end(running)
        await self._guards.pop(name)
        self._put_aside.remove(name)
        return self.processes.pop(name).spec

    def find(self, name: str) -> Running:
        """The process of a name."""
        if name not in self.processes:
            names = ", ".join(running.spec.name for running in self._listed())
            cause = f"No process is called {name}."
            raise Failure(cause, f"Choose one of: {names}")
        return self.processes[name]

    async def stop(self) -> None:
        """End everything, those that depend on others first."""
        self.stopping.set()
        by_rank = sorted(self.processes.values(), key=lambda running: -running.spec.rank)
        for _, group in groupby(by_rank, key=lambda running: running.spec.rank):
            await asyncio.gather(*(_end(running) for running in group))
        for guard in self._guards.values():
            guard.cancel()
        await asyncio.gather(*self._guards.values(), return_exceptions=True)
        self.watch.close()

    def kill(self) -> None:
        """End everything at once."""
        self.stopping.set()
        for running in self.processes.values():
            running.kill_group()

    async def describe(self) -> list[dict[str, Any]]:
        """What `ps` shows; whoever was ready is asked again, so that the answer is true now."""
        return list(await asyncio.gather(*(_describe(running) for running in self._listed())))

    def _listed(self) -> list[Running]:
        return [running for running in self.processes.values() if running.spec.listed]

    async def _spawn(self, running: Running) -> None:
        child = await running.spawn()
        self.watch.add(child.pid)

    async def _guard(self, running: Running) -> None:
        delay = 0.0
        while running.child:
            child = running.child
            care = asyncio.create_task(self._care(running), name=f"care {running.spec.name}")
            code = await child.wait()
            care.cancel()
            running.kill_group()
            self.watch.remove(child.pid)
            if self.stopping.is_set() or running.spec.name in self._put_aside:
                return
            delay = 0.0 if running.became_ready.is_set() else _longer(delay)
            running.became_ready.clear()
            running.restarts += 1
            self.note(_of_the_end(running, code, delay))
            running.status = "restarting"
            await self._come_back(running, delay)

    async def _come_back(self, running: Running, delay: float) -> None:
        while not self.stopping.is_set():
            await asyncio.sleep(delay)
            try:
                await self._spawn(running)
            except Exception as error:  # noqa: BLE001  whatever kept it from starting, it is tried again
                delay = _longer(delay)
                self.note(f"{running.spec.name} cannot be started: {error}; again in {delay:.1f} s")
            else:
                return

    async def _care(self, running: Running) -> None:
        """Make a started process ready, then end it when it does not say for long that it is alive."""
        has_been = running.has_been_ready
        if not await running.await_ready():
            return
        if has_been:
            self.note(f"{running.spec.name} is ready again")
        failed = 0
        while failed < LIVENESS_TRIES:
            await asyncio.sleep(LIVENESS_EACH)
            failed = 0 if await running.spec.alive() else failed + 1
        self.note(f"{running.spec.name} is not alive any more, ending it")
        running.kill_group()

    def _failure(self, running: Running) -> Failure:
        log = running.spec.log
        tail = log.read_bytes()[-TAIL:].decode(errors="replace") if log.exists() else ""
        return Failure(
            f"{running.spec.name} did not become ready. {running.trouble}\n{tail.strip()}",
            f"Read {log}, then try again; `ordermill doctor` looks for the usual causes.",
            Exit.STEP_FAILED,
        )


async def _end(running: Running) -> None:
    await running.stop()
    running.close()


def _longer(delay: float) -> float:
    return min(max(delay * 2, FIRST_DELAY), LONGEST_DELAY)


def _of_the_end(running: Running, code: int | None, delay: float) -> str:
    """What is noted of a process that ended by itself, or as it was asked to be started anew."""
    if running.status in {"stopping", "stopped"}:
        return f"{running.spec.name} is restarted"
    return f"{running.spec.name} ended{_cause(code)}, starts again in {delay:.1f} s"


def _cause(code: int | None) -> str:
    if code is None:
        return ""
    name = next((each.name for each in signal.Signals if each == -code), f"signal {-code}")
    return f" ({name})" if code < 0 else f" (exit code {code})"


async def _describe(running: Running) -> dict[str, Any]:
    return {
        "name": running.spec.name,
        "pid": running.pid,
        "status": await _status(running),
        "restarts": running.restarts,
        "url": running.spec.url,
    }


async def _status(running: Running) -> Status:
    """As it is now; of one that was ready and is not any more, whether it answers at all."""
    if running.status != "ready":
        return running.status
    is_ready, is_alive = await asyncio.gather(running.spec.ready(), running.spec.alive())
    return "ready" if is_ready else "unready" if is_alive else "silent"


def all_ready(processes: Iterable[dict[str, Any]]) -> bool:
    """Whether every process of a `ps` answer is ready."""
    return all(process["status"] == "ready" for process in processes)
