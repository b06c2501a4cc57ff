"""The auditor's process: looks at what changed lately again and again, at everything once a day, and shows gauges."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from loguru import logger
from prometheus_client import Gauge

from chassis import heartbeat
from chassis.tasks import forever, running
from ordermill.audit import Kind, Question, Verdict, audit
from ordermill.audit.settings import Settings
from ordermill.audit.snapshot import LONGEST

BROKEN = Gauge("ordermill_invariant_broken", "Rows that break a promise, as the last audit saw.", ["id", "of"])
AUDITED_AT = Gauge("ordermill_audit_time_seconds", "When the last audit ended, in seconds since 1970.", ["of"])
SECONDS = Gauge("ordermill_audit_seconds", "How long the last audit took.", ["of"])

RECENT, WHOLE = "recent", "whole"
SHARE = 50  # it rests fifty times as long as it works: two hundredths of one processor at most


class Auditor:
    """Audits as it was told to, until it is ended."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._failure: str | None = "has not audited yet"
        self._seen: dict[tuple[str, str], int] = {}

    @asynccontextmanager
    async def running(self, _app: object = None) -> AsyncIterator[None]:
        """Audits beside the body."""
        async with running(forever("audit", self._look_again), forever("whole audit", self._look_daily)):
            yield

    async def checks(self) -> dict[str, str | None]:
        """Why it cannot audit, if so."""
        return {"audit": self._failure}

    async def look(self, of: str, question: Question) -> float:
        """Audits once and shows what it saw; how long it took, in seconds."""
        started = time.monotonic()
        try:
            verdicts = await audit(self._settings.database_url.get_secret_value(), question)
        except Exception as failure:
            self._failure = type(failure).__name__
            raise
        self._failure = None
        took = time.monotonic() - started
        SECONDS.labels(of).set(took)
        AUDITED_AT.labels(of).set_to_current_time()
        self._show(of, verdicts)
        return took

    def _show(self, of: str, verdicts: Iterable[Verdict]) -> None:
        """Gauges always, a line where something has changed: a promise that stays broken is said once."""
        for verdict in verdicts:
            key = verdict.invariant.id, of
            BROKEN.labels(*key).set(verdict.count)
            if verdict.count != self._seen.get(key, 0):
                self._seen[key] = verdict.count
                _say(of, verdict)

    async def _look_again(self) -> None:
        told = self._settings
        with heartbeat.beating("audit", longest=LONGEST):
            while True:
                heartbeat.beat()
                took = await self.look(RECENT, Question(frozenset({Kind.ALWAYS}), recent=told.recent))
                heartbeat.rest()
                await asyncio.sleep(max(told.every.total_seconds(), SHARE * took))

    async def _look_daily(self) -> None:
        with heartbeat.beating("whole audit", longest=LONGEST):
            while True:
                heartbeat.rest()
                await asyncio.sleep(self._until_whole(datetime.now(UTC)).total_seconds())
                heartbeat.beat()
                await self.look(WHOLE, Question(frozenset(Kind), rest=self._settings.rest))

    def _until_whole(self, now: datetime) -> timedelta:
        today = datetime.combine(now.date(), self._settings.whole_at, self._settings.whole_at.tzinfo or UTC)
        return today - now if today > now else today + timedelta(days=1) - now


def _say(of: str, verdict: Verdict) -> None:
    """What a row holds is for whoever asks (`ordermill audit`), not for the log."""
    invariant = verdict.invariant
    said = logger.bind(invariant=invariant.id, of=of, rows=verdict.count)
    if verdict.count:
        said.error("{} is broken by {} rows: {}", invariant.id, verdict.count, invariant.promise)
    else:
        said.info("{} holds again: {}", invariant.id, invariant.promise)
