"""Inflicts the faults of a plan, each at its time; undoes what has to be undone; notes how long recovery took."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from uuid import UUID

from ordermill.errors import Failure
from ordermill.prove import parcels
from ordermill.prove.line import Choice, Flow
from ordermill.prove.schedule import POISON, Fault, Kind
from ordermill.prove.stage import Stage

Back = tuple[str, int | None]  # what has to be ready again, and under another pid than this
Act = Callable[[Fault, Random], Awaitable[Back]]

BACK_WITHIN = 60.0
LONGEST = 10.0
LAGS = (0.02, 0.1)
ALARMED = ("set_vm_memory_high_watermark", "0.00001")
CALM = ("set_vm_memory_high_watermark", "0.4")
ALL_OF_TEN = 3
SIGNALS = {
    Kind.KILL_PROCESS: signal.SIGKILL,
    Kind.KILL_POSTGRES: signal.SIGKILL,
    Kind.KILL_RABBITMQ: signal.SIGKILL,
    Kind.STOP_PROCESS: signal.SIGTERM,
    Kind.RESTART_POSTGRES: signal.SIGQUIT,
}


@dataclass
class Inflicted:
    """A fault that was inflicted, and when what it hurt was ready again; why not, when it found nobody to hurt."""

    fault: Fault
    began_at: datetime
    ready_at: datetime | None = None
    missed: str = ""


class Missed(Exception):
    """The fault found nobody to hurt."""


class Nemesis:
    """The one who hurts. ``inflicted`` is what it has done so far, ``poisoned`` the ids of its poison."""

    def __init__(self, stage: Stage, listens: parcels.Listens) -> None:
        self.inflicted: list[Inflicted] = []
        self.poisoned: list[UUID] = []
        self._stage = stage
        self._note = stage.note
        self._listens = listens
        self._acts: dict[Kind, Act] = {
            **dict.fromkeys(SIGNALS, self._kill),
            **dict.fromkeys((Kind.FREEZE_PROCESS, Kind.FREEZE_RABBITMQ), self._freeze),
            Kind.LOSE_RABBITMQ: self._lose_data,
            Kind.ALARM_RABBITMQ: self._alarm,
            **dict.fromkeys((Kind.CUT_POSTGRES, Kind.CUT_RABBITMQ), self._cut),
            **dict.fromkeys((Kind.HOLD_POSTGRES, Kind.HOLD_RABBITMQ), self._hold),
            **dict.fromkeys((Kind.FORGET_POSTGRES, Kind.FORGET_RABBITMQ), self._forget),
            **dict.fromkeys((Kind.SLOW_POSTGRES, Kind.SLOW_RABBITMQ), self._slow),
            Kind.REPEAT_PARCELS: self._repeat,
            Kind.COPY_PARCELS: self._copy,
            **dict.fromkeys(POISON, self._poison),
        }

    async def run(self, plan: Sequence[Fault]) -> None:
        """Inflicts the plan; returns when every fault is over and what it hurt is back."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as faults:
            for fault in plan:
                await asyncio.sleep(began + fault.at - time.monotonic())
                faults.create_task(self._inflict(fault))

    async def _inflict(self, fault: Fault) -> None:
        done = Inflicted(fault, datetime.now(UTC))
        self.inflicted.append(done)
        self._note(f"{fault.kind} {fault.target} for {fault.lasts:.1f} s")
        try:
            back = await self._acts[fault.kind](fault, Random(fault.noise))  # noqa: S311 -- it has to be repeatable
        except Exception as error:  # noqa: BLE001 -- a fault may meet a server that another one has just hurt
            done.missed = repr(error)
            self._note(f"{fault.kind} missed: {error!r}")
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(BACK_WITHIN):
                await self._stage.until_ready(*back)
                done.ready_at = datetime.now(UTC)

    async def _kill(self, fault: Fault, _random: Random) -> Back:
        return fault.target, self._signal(fault.target, SIGNALS[fault.kind])

    def _signal(self, name: str, number: signal.Signals) -> int:
        running = self._stage.process(name)
        pid = running.pid
        if pid is None or (name in self._stage.servers and not self._stage.is_ready(name)):
            raise Missed(name)
        running.signal(number)
        return pid

    async def _freeze(self, fault: Fault, _random: Random) -> Back:
        pid = self._signal(fault.target, signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.lasts)
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        return fault.target, None

    async def _lose_data(self, fault: Fault, _random: Random) -> Back:
        running, data = self._stage.process(fault.target), self._stage.state.root / "rabbitmq" / "data"
        kept = running.spec

        async def forget() -> None:
            running.spec = kept
            await kept.before()
            await asyncio.to_thread(shutil.rmtree, data)
            data.mkdir()

        pid = self._signal(fault.target, signal.SIGKILL)
        running.spec = replace(kept, before=forget)
        return fault.target, pid

    async def _alarm(self, fault: Fault, _random: Random) -> Back:
        await self._control(fault.target, *ALARMED)
        try:
            await asyncio.sleep(fault.lasts)
        finally:
            await self._control(fault.target, *CALM)
        return fault.target, None

    async def _control(self, node: str, *words: str) -> None:
        try:
            await self._stage.control_broker(*words, node=node)
        except Failure as failure:
            raise Missed(failure.message) from None

    async def _repeat(self, _fault: Fault, random: Random) -> Back:
        async with asyncio.timeout(LONGEST), self._stage.database() as database:
            return _found(await parcels.repeat(database, random))

    async def _copy(self, _fault: Fault, random: Random) -> Back:
        async with asyncio.timeout(LONGEST), self._stage.database() as database:
            return _found(await parcels.copy(database, self._stage.state.broker_url, random))

    async def _poison(self, fault: Fault, random: Random) -> Back:
        async with asyncio.timeout(LONGEST), self._stage.database() as database:
            poison = await parcels.poison(fault.kind, database, self._listens, random)
            if poison:
                self.poisoned.append(poison.message_id)
                await poison.put(self._stage.state.broker_url)
        return _found(poison)

    async def _cut(self, fault: Fault, random: Random) -> Back:
        self._stage.lines[fault.target].cut(_some(random))
        return fault.target, None

    async def _hold(self, fault: Fault, _random: Random) -> Back:
        line = self._stage.lines[fault.target]
        line.hold()
        return await self._afterwards(fault, line.resume)

    async def _slow(self, fault: Fault, random: Random) -> Back:
        line = self._stage.lines[fault.target]
        line.lag = random.uniform(*LAGS)
        return await self._afterwards(fault, lambda: setattr(line, "lag", 0.0))

    async def _forget(self, fault: Fault, random: Random) -> Back:
        forgotten = self._stage.lines[fault.target].forget(_some(random))

        def end() -> None:
            for flow in forgotten:
                flow.end()

        return await self._afterwards(fault, end)

    async def _afterwards(self, fault: Fault, undo: Callable[[], None]) -> Back:
        try:
            await asyncio.sleep(fault.lasts)
        finally:
            undo()
        return fault.target, None


def _found(anything: object) -> Back:
    if not anything:
        message = "nothing was told that could be used"
        raise Missed(message)
    return "rabbitmq", None


def _some(random: Random) -> Choice:
    """All connections, or a few."""
    every, few = random.randrange(10) < ALL_OF_TEN, random.randint(1, 3)

    def choose(flows: Sequence[Flow]) -> Sequence[Flow]:
        if not flows:
            message = "there is no connection"
            raise Missed(message)
        return list(flows) if every else random.sample(list(flows), min(few, len(flows)))

    return choose
