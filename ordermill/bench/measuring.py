"""One shop under load, measured: phases of orders, each until everything has settled, and the drain of a backlog."""

import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from chassis.ids import parse_typeid
from ordermill import tables
from ordermill.audit import Told
from ordermill.bench.counters import Counters, Reading, usage
from ordermill.bench.figures import rates, spread_ms
from ordermill.bench.generator import Generator
from ordermill.bench.people import Customers
from ordermill.bench.rest import Rest
from ordermill.bench.watching import Watch

Figures = dict[str, Any]
Note = Callable[[str], None]
TELLS_EACH = 5.0

_CONFIRMED_AT = """
    SELECT extract(epoch FROM at - $1)::float FROM order_service.order_history
    WHERE to_status = 'confirmed' AND from_status <> 'confirmed' AND at >= $1
"""


@dataclass(frozen=True)
class Measuring:
    """What a measurement needs; `told` gathers what clients were told of marked orders, for the audit."""

    database: asyncpg.Connection
    counters: Counters
    generator: Generator
    watch: Watch
    rest: Rest
    people: Customers
    note: Note
    told: list[Told]

    async def phase(self, name: str, **asked: float) -> Figures:
        """Orders by so many clients or at a rate, and what follows from them, until all is at rest."""
        self.note(f"{name}: {_spoken(asked)}")
        before, tally = await self.counters.read(), await self._load(asked)
        settled = await self.rest.settled(lambda: len(self.watch.confirmed))
        return await self._figures(name, before, tally, settled)

    async def accept(self, name: str, **asked: float) -> Figures:
        """Orders that nobody works on."""
        self.note(f"{name}: {_spoken(asked)}")
        before, tally = await self.counters.read(), await self._load(asked)
        used = usage(before, await self.counters.read(), tally["accepted"])
        return {"name": name, "began_at": before.at, **_accepted(tally), **used}

    async def drain(self, name: str, backlog: Figures, start: Callable[[], Awaitable[None]]) -> Figures:
        """What becomes of accepted orders once the workers are started; the rates are of each tenth of them."""
        self.note(f"{name}: {backlog['accepted']} orders")
        before, began = await self.counters.read(), time.monotonic()
        await start()
        ready = time.monotonic()
        settled = await self.rest.settled(lambda: len(self.watch.confirmed))
        moments = [row[0] for row in await self.database.fetch(_CONFIRMED_AT, before.at)]
        figures = await self._settled(name, before, backlog["accepted"], backlog["began_at"])
        return {
            **figures,
            "seconds": {"workers_ready": _rounded(ready - began), "settled": _rounded(settled - began)},
            "confirmed_per_second": round(len(moments) / (settled - began), 1),
            "drained_per_second": _rate(moments),
            "rates_by_tenth": rates(moments, min(moments, default=0.0)),
        }

    async def _load(self, asked: Mapping[str, float]) -> Figures:
        with tables.bar("orders accepted", int(asked["orders"])) as move:
            tally = await self.generator.phase(self._telling(move), **asked)
        for order_id, (_, key, person) in tally["marked"].items():
            self.told.append(Told(parse_typeid("ord", order_id), self.people.all[person].id, key))
        return tally

    def _telling(self, move: Callable[[int], None]) -> Callable[[int], None]:
        """Shows how many were accepted: on a terminal at once, elsewhere with a line now and then."""
        due = time.monotonic() + TELLS_EACH

        def tell(accepted: int) -> None:
            nonlocal due
            move(accepted)
            if time.monotonic() > due and not sys.stderr.isatty():
                due = time.monotonic() + TELLS_EACH
                self.note(f"  {accepted} orders accepted")

        return tell

    async def _figures(self, name: str, before: Reading, tally: Figures, settled: float) -> Figures:
        figures = await self._settled(name, before, tally["accepted"], before.at)
        confirmed = figures["outcome"].get("confirmed", 0)
        return {
            **figures,
            **_accepted(tally),
            "seconds": {
                "accepting": _rounded(tally["ended"] - tally["began"]),
                "settled": _rounded(settled - tally["began"]),
                "rested": _rounded(time.monotonic() - tally["began"]),
            },
            "confirmed_per_second": round(confirmed / (settled - tally["began"]), 1),
            **confirmation(tally["marked"], self.watch.confirmed),
        }

    async def _settled(self, name: str, before: Reading, orders: int, placed_since: datetime) -> Figures:
        await self.rest.rested(before.at)
        after = await self.counters.read()
        batches = await self.counters.batches(before, after)
        return {
            "name": name,
            "began_at": before.at,
            "outcome": await self.rest.statuses(placed_since),
            **usage(before, after, orders),
            "batches": {of: round(items, 1) for of, items in batches.items()},
        }


def _accepted(tally: Figures) -> Figures:
    kept = ("accepted", "statuses", "cancels", "cut", "unanswered", "post_ms")
    rate = tally["accepted"] / max(tally["ended"] - tally["began"], 1e-6)
    return {**{name: tally[name] for name in kept}, "accepted_per_second": round(rate, 1)}


def confirmation(marked: Mapping[str, Sequence[Any]], confirmed: Mapping[UUID, float]) -> Figures:
    """From the answer to POST until the order was seen confirmed; 0 where it was seen before the answer had come."""
    accepted = {parse_typeid("ord", order_id): moment for order_id, (moment, *_) in marked.items()}
    times = [max(0.0, confirmed[order_id] - moment) for order_id, moment in accepted.items() if order_id in confirmed]
    return {"accepted_to_confirmed_ms": spread_ms(times), "marked": len(accepted), "seen_confirmed": len(times)}


def _rate(moments: Sequence[float]) -> float:
    """How many a second from the first one to the last one."""
    lasted = max(moments, default=0.0) - min(moments, default=0.0)
    return round(len(moments) / lasted, 1) if lasted else 0.0


def _spoken(asked: Mapping[str, float]) -> str:
    how = f"{asked['clients']:.0f} clients" if asked.get("clients") else f"{asked.get('rate', 0):.0f} a second"
    return f"{asked['orders']:.0f} orders, {how}"


def _rounded(seconds: float) -> float:
    return round(seconds, 2)
