"""The world of one seed: its time, its chance, its faults, and the servers that come and go."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.simulation.faults import NONE, Faults, Times
from tests.simulation.loop import Loop

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def _chance(seed: str) -> Random:
    return Random(seed)  # noqa: S311 -- it has to be repeatable, not secret


def _arrive(at: "asyncio.Future[None]") -> None:
    if not at.done():
        at.set_result(None)


class Violation(AssertionError):
    """A promise is broken."""


class World:
    """What everything in one simulation shares."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = _chance(f"world {seed}")
        self.loop = Loop(_chance(f"turns {seed}"))
        drawn = _chance(f"drawn {seed}")
        self.faults = Faults.drawn(drawn)
        self.times = Times.drawn(drawn)
        self.broken_promises: list[str] = []
        self._down: dict[str, float] = {}

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.loop.time())

    def happens(self, probability: float) -> bool:
        return probability > 0 and self.rng.random() < probability

    def is_down(self, server: str) -> bool:
        return self._down.get(server, 0.0) > self.loop.time()

    def take_down(self, server: str, seconds: float) -> None:
        self._down[server] = self.loop.time() + seconds

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        self.faults = NONE
        self._down.clear()

    async def travel(self, takes: float | None = None) -> None:
        """A way over the network: often no time at all, now and then a long one."""
        chance = self.rng.random()
        if chance < 0.5:
            await asyncio.sleep(0)
        else:
            takes = self.times.latency if takes is None else takes
            arrived = self.loop.create_future()
            self.loop.call_later(takes * (20 * chance if chance > 0.98 else chance), _arrive, arrived)
            await arrived

    @property
    def provider_takes(self) -> float:
        """How long the provider takes each way; at its worst, longer than anybody waits for it."""
        takes, limit = self.times.provider_takes, self.times.provider_timeout
        return min(takes, limit / 4) if self.faults is NONE else takes

    def broken(self, promise: str) -> None:
        """Remembers it, since the product's own nets would catch what is raised here; the simulation ends by it."""
        self.broken_promises.append(f"{promise} (at {self.loop.time():.3f} s)")

    def gone(self, *_: Any) -> ConnectionError:
        return ConnectionResetError("connection reset by peer")
