"""The audit at work: what must hold at any instant, each second; and after the drain everything."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from ordermill.audit import Kind, Question, Told, Verdict, audit

Window = tuple[datetime, datetime]

EACH = 1.0
LONGEST = 30.0
RECENT = timedelta(minutes=1)  # many orders a second: what five minutes hold would take a core to look at
DRAINS_WITHIN = 60.0
SHOWN = 5


@dataclass(frozen=True)
class Evidence:
    """What the audit cannot know: what clients were told, when faults were inflicted, what was parked as poison."""

    told: Sequence[Told]
    outages: Sequence[Window]
    poisoned: Sequence[UUID]

    def question(self, *kinds: Kind) -> Question:
        """About everything."""
        return Question(kinds=frozenset(kinds), told=self.told, outages=self.outages, poisoned=self.poisoned)


@dataclass(frozen=True)
class Broken:
    """A promise that did not hold: when it was seen first, and the rows that break it."""

    id: str
    promise: str
    seen: str
    seen_at: datetime
    rows: list[dict[str, Any]]


@dataclass
class Watch:
    """Looks each second while the shop is hurt; what was broken once is kept, whatever becomes of it."""

    url: str
    looks: int = 0
    blind: int = 0
    slowest: float = 0.0
    promises: int = 0
    broken: dict[str, Broken] = field(default_factory=dict)

    async def run(self, outages: Callable[[], Sequence[Window]]) -> None:
        """Looks until it is cancelled; while the database is away it sees nothing, and counts that."""
        while True:
            began = time.monotonic()
            question = Question(kinds=frozenset({Kind.ALWAYS}), recent=RECENT, outages=outages())
            try:
                async with asyncio.timeout(LONGEST):
                    self._keep(await audit(self.url, question), "while it was hurt")
            except Exception:  # noqa: BLE001 -- the database is being hurt
                self.blind += 1
            else:
                self.looks += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(began + EACH - time.monotonic())

    async def at_rest(self, evidence: Callable[[], Awaitable[Evidence]]) -> float | None:
        """Asks for all promises, of everything, until all holds that has to hold at rest; keeps the last look.

        One look decides: a moment after it an order may be past its time to pay, and the shop at work again.

        Returns the seconds that it took; None when it is more than a minute.
        """
        began = time.monotonic()
        while True:
            verdicts = await audit(self.url, (await evidence()).question(*Kind))
            waited = time.monotonic() - began
            drained = not any(verdict.broken for verdict in verdicts if verdict.invariant.kind is Kind.DRAINED)
            if drained or waited >= DRAINS_WITHIN:
                break
            await asyncio.sleep(EACH)
        self.promises = len(verdicts)
        self._keep(verdicts, "at the end")
        return waited if drained else None

    def _keep(self, verdicts: Sequence[Verdict], seen: str) -> None:
        for verdict in verdicts:
            if verdict.broken:
                found = verdict.invariant
                broken = Broken(found.id, found.promise, seen, datetime.now(UTC), verdict.broken[:SHOWN])
                self.broken.setdefault(found.id, broken)
