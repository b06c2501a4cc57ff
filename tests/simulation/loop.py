"""An event loop of virtual time that runs many processes in one, in an order drawn from a seed, and can kill each.

Inside a process things happen in asyncio's own order; which process goes on next is drawn. Each time that a task comes
to rest, the place in the product's code where it waits is told to ``at_rest``, which may end the process there.
"""

import asyncio
import gc
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from pathlib import Path
from random import Random
from types import AsyncGeneratorType, CodeType, CoroutineType, GeneratorType
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
_PRODUCT = tuple(str(ROOT / package) for package in ("chassis", "contracts")) + tuple(
    str(ROOT / f"{name}_service") for name in ("order", "inventory", "payment", "notification")
)
_UNWINDINGS = 50
_STEPS = (AsyncGeneratorType, CoroutineType)

PROCESS: ContextVar["Process | None"] = ContextVar("process", default=None)


class Killed(BaseException):
    """What a killed process's coroutines are unwound with; nothing that they still do reaches anybody."""


class Begins:
    """A call that begins when it is awaited, and is nothing when nobody is left to await it."""

    def __init__(self, call: Callable[..., Coroutine[Any, Any, Any]], *given: Any, **named: Any) -> None:
        self._begin = lambda: call(*given, **named)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._begin().__await__()


class Point(NamedTuple):
    """A place where the product's code waits."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.function}"


class Process:
    """One incarnation of a process: its tasks, and what waits to be run in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.frozen = False
        self.context = copy_context()
        self.context.run(PROCESS.set, self)
        self.ready: deque[asyncio.Handle] = deque()
        self.tasks: dict[asyncio.Task[Any], Context] = {}
        self.at_end: dict[Callable[[], None], None] = {}


class Loop(asyncio.AbstractEventLoop):
    """The world: its time, its processes, and beside them what belongs to nobody (the network, the servers)."""

    def __init__(self, rng: Random) -> None:
        self._chance = rng.random
        self.at_rest: Callable[[Process, Point], None] = lambda _process, _point: None
        self.steps = 0
        self._now = 0.0
        self._outside = copy_context()
        self._world = Process("world")
        self._processes: dict[Process, None] = {}
        self._runnable: list[Process] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self._product: dict[CodeType, str | None] = {}
        self._points: dict[tuple[CodeType, int | None], Point] = {}

    # --- processes

    def start(self, name: str, main: Callable[[], Coroutine[Any, Any, None]]) -> Process:
        process = Process(name)
        self._processes[process] = None
        self.create_task(main(), context=process.context.copy())
        return process

    def later(self, delay: float, callback: Callable[[], object]) -> None:
        """Beside all processes, whoever asks for it."""
        self.call_later(delay, callback, context=self._outside)

    def kill(self, process: Process) -> None:
        """Ends it between two steps: nothing of it runs again, and whoever serves it notices."""
        process.alive = False
        self._processes.pop(process, None)
        process.ready.clear()
        for end in list(process.at_end):
            end()
        for task, context in list(process.tasks.items()):
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is dead, not forgotten
            context.run(_unwind, task.get_coro())
        process.tasks.clear()

    def freeze(self, process: Process) -> None:
        process.frozen = True

    def thaw(self, process: Process) -> None:
        process.frozen = False
        if process.alive and process.ready and process not in self._runnable:
            self._runnable.append(process)

    # --- running

    def run(self, until: Callable[[], bool]) -> None:
        """Goes on until the condition holds, which is looked at whenever time passes.

        Raises:
            TimeoutError: when nothing is left to do.
        """
        events._set_running_loop(self)
        try:
            while True:
                while self._runnable:
                    self._step()
                if until():
                    return
                self._pass_time()
        finally:
            events._set_running_loop(None)

    def close(self) -> None:
        """Ends every process."""
        events._set_running_loop(self)
        for process in list(self._processes):
            self.kill(process)
        events._set_running_loop(None)

    def _step(self) -> None:
        place = int(self._chance() * len(self._runnable))
        process = self._runnable[place]
        if process.frozen or not process.ready:
            self._runnable[place] = self._runnable[-1]
            self._runnable.pop()
            return
        handle = process.ready.popleft()
        if handle._cancelled:
            return
        self.steps += 1
        task = getattr(handle._callback, "__self__", None)
        handle._run()
        if process is not self._world and isinstance(task, asyncio.Task) and process.alive:
            if task.done():
                process.tasks.pop(task, None)
            elif point := self._point(task.get_coro()):
                self.at_rest(process, point)

    def _pass_time(self) -> None:
        if not self._timers:
            raise TimeoutError("nothing is left to do")
        self._now = max(self._now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now:
            _, _, handle = heapq.heappop(self._timers)
            if not handle._cancelled:
                self._put(handle)

    def _put(self, handle: asyncio.Handle) -> None:
        process = handle._context.get(PROCESS) or self._world
        if not process.alive:
            return
        if not process.ready and not process.frozen:
            self._runnable.append(process)
        process.ready.append(handle)

    def _point(self, awaited: Any) -> Point | None:
        """The innermost place in the product's code in this chain of awaits."""
        found, product = None, self._product
        while awaited is not None:
            kind = type(awaited)
            if kind is CoroutineType:
                frame, inner = awaited.cr_frame, awaited.cr_await
            elif kind is AsyncGeneratorType:
                frame, inner = awaited.ag_frame, awaited.ag_await
            elif kind is GeneratorType:
                awaited = awaited.gi_yieldfrom
                continue
            elif kind.__name__.startswith(("async_generator", "coroutine_wrapper")):  # it does not say whose step it is
                behind = gc.get_referents(awaited)
                awaited = next((each for each in behind if type(each) in _STEPS), None)
                continue
            else:
                break
            if frame is not None:
                code = frame.f_code
                file = product[code] if code in product else self._file(code)
                if file is not None:
                    found = (file, frame, code)
            awaited = inner
        if found is None:
            return None
        file, frame, code = found
        place = code, frame.f_lineno
        if place not in self._points:
            self._points[place] = Point(file, frame.f_lineno, code.co_qualname)
        return self._points[place]

    def _file(self, code: CodeType) -> str | None:
        ours = code.co_filename.startswith(_PRODUCT)
        self._product[code] = str(Path(code.co_filename).relative_to(ROOT)) if ours else None
        return self._product[code]

    # --- what asyncio asks of a loop

    def time(self) -> float:
        return self._now

    def call_soon(self, callback, *args, context: Context | None = None):
        handle = asyncio.Handle(callback, args, self, context)
        self._put(handle)
        return handle

    def call_later(self, delay, callback, *args, context: Context | None = None):
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when, callback, *args, context: Context | None = None):
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def _timer_handle_cancelled(self, handle) -> None:
        pass

    def create_future(self):
        return asyncio.Future(loop=self)

    def create_task(self, coro, *, name=None, context: Context | None = None):
        context = context or copy_context()
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        if (process := context.get(PROCESS)) is not None:
            process.tasks[task] = context
            if not process.alive:
                task._log_destroy_pending = False
                coro.close()
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def call_exception_handler(self, context) -> None:
        """What asyncio would log: the tasks of killed processes, whose failures nobody asks for."""


def _unwind(coroutine: Any) -> None:
    """Throws at every await until it is over: no real kill does, but here nothing may stay open behind it."""
    for _ in range(_UNWINDINGS):
        if getattr(coroutine, "cr_frame", None) is None and getattr(coroutine, "gi_frame", None) is None:
            return
        try:
            coroutine.throw(Killed())
        except (StopIteration, Killed):
            return
        except BaseException:  # noqa: BLE001 -- whatever a dead process says, nobody hears it
            return
    raise AssertionError(coroutine)
