"""The auditor's process: one promise after the other at what changed lately, at everything once a day; shows gauges."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle

from loguru import logger
from prometheus_client import Gauge

from chassis import heartbeat
from chassis.database import Database
from chassis.tasks import forever, running
from ordermill.audit import INVARIANTS, Kind, Question, Verdict, audit, snapshot
from ordermill.audit.invariant import Invariant
from ordermill.audit.settings import Settings
from ordermill.audit.snapshot import LONGEST

BROKEN = Gauge("ordermill_invariant_broken", "Rows that break a promise, as the last audit saw.", ["id", "of"])
AUDITED_AT = Gauge("ordermill_audit_time_seconds", "When the last look ended, in seconds since 1970.", ["id", "of"])
SECONDS = Gauge("ordermill_audit_seconds", "How long the last look took.", ["id", "of"])

RECENT, WHOLE = "recent", "whole"
SHARE = 50  # it rests fifty times as long as a look took: two hundredths of one processor at most
ALWAYS = [each for each in INVARIANTS.values() if each.kind is Kind.ALWAYS]


class Auditor:
    """Audits as it was told to, until it is ended."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = Database(settings.database_url.get_secret_value(), size=1, longest=LONGEST)
        self._recent = Question(frozenset({Kind.ALWAYS}), recent=settings.recent, most=settings.most)
        self._next = cycle(ALWAYS)
        self._failure: str | None = "has not audited yet"
        self._seen: dict[tuple[str, str], tuple[int, str]] = {}

    @asynccontextmanager
    async def running(self, _app: object = None) -> AsyncIterator[None]:
        """Audits beside the body."""
        await self._database.open()
        try:
            async with running(forever("audit", self._look_again), forever("whole audit", self._look_daily)):
                yield
        finally:
            await self._database.close()

    async def checks(self) -> dict[str, str | None]:
        """Why it cannot audit, if so."""
        return {"audit": self._failure}

    async def _look_again(self) -> None:
        """At the next promise, also after one that could not be asked."""
        with heartbeat.beating("audit", longest=LONGEST):
            while True:
                heartbeat.beat()
                took = await self._look(next(self._next))
                heartbeat.rest()
                await asyncio.sleep(self._pause(took))

    def _pause(self, took: float) -> float:
        """The rest after a look, in seconds: its share, and what makes a round of all promises as long as was told."""
        return max(self._settings.every.total_seconds() / len(ALWAYS), SHARE * took)

    async def _look(self, invariant: Invariant) -> float:
        """At one promise; how long it took with all that was to be found for it, in seconds."""
        started = time.monotonic()
        with self._failing():
            [verdict] = await snapshot.look(self._database, [invariant], self._recent)
        self._show(RECENT, verdict)
        return time.monotonic() - started

    async def _look_daily(self) -> None:
        with heartbeat.beating("whole audit", longest=LONGEST):
            while True:
                heartbeat.rest()
                await asyncio.sleep(self._until_whole(datetime.now(UTC)).total_seconds())
                heartbeat.beat()
                await self._look_at_everything()

    async def _look_at_everything(self) -> None:
        question = Question(frozenset(Kind), rest=self._settings.rest)
        with self._failing():
            verdicts = await audit(self._settings.database_url.get_secret_value(), question)
        for verdict in verdicts:
            self._show(WHOLE, verdict)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except Exception as failure:
            self._failure = type(failure).__name__
            raise
        self._failure = None

    def _show(self, of: str, verdict: Verdict) -> None:
        """Gauges always, a line where something has changed: a promise that stays broken is said once."""
        key = verdict.invariant.id, of
        BROKEN.labels(*key).set(verdict.count)
        SECONDS.labels(*key).set(verdict.seconds)
        AUDITED_AT.labels(*key).set_to_current_time()
        found = verdict.count, verdict.unasked
        if found != self._seen.get(key, (0, "")):
            self._seen[key] = found
            _say(of, verdict)

    def _until_whole(self, now: datetime) -> timedelta:
        today = datetime.combine(now.date(), self._settings.whole_at, self._settings.whole_at.tzinfo or UTC)
        return today - now if today > now else today + timedelta(days=1) - now


def _say(of: str, verdict: Verdict) -> None:
    """What a row holds is for whoever asks (`ordermill audit`), not for the log."""
    invariant = verdict.invariant
    said = logger.bind(invariant=invariant.id, of=of, rows=verdict.count)
    if verdict.unasked:
        said.error("{} cannot be asked: {}", invariant.id, invariant.promise)
    elif verdict.count:
        said.error("{} is broken by {} rows: {}", invariant.id, verdict.count, invariant.promise)
    else:
        said.info("{} holds again: {}", invariant.id, invariant.promise)
