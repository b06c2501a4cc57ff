"""One run: a fresh shop, its customers, the load, the figures of each phase, and the audit of everything."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ordermill import named
from ordermill.audit import Kind, Question, Told, Verdict, audit
from ordermill.bench import cpu
from ordermill.bench.beside import Beside, compared, measured
from ordermill.bench.counters import Counters
from ordermill.bench.figures import ratio
from ordermill.bench.generator import a_generator
from ordermill.bench.measuring import Figures, Measuring, Note
from ordermill.bench.orders import bodies, shelves
from ordermill.bench.people import Customers, customers
from ordermill.bench.rest import Rest
from ordermill.bench.scenarios import Scenario
from ordermill.bench.stage import a_stage, durability, fill, settings, start, stop_workers
from ordermill.bench.watching import marks, watching
from ordermill.ours import appending
from ordermill.setup import auditor_url, listeners
from ordermill.stage import Stage, remove_data
from ordermill.state import Layout, State

WARM_UP = 2_000
CHUNKS = 10
CANCELLED = 7  # each how manieth accepted order, where orders are mixed
LIMITS = "no rate is limited; 256 requests at once of one address, as in production"


@dataclass(frozen=True)
class Run:
    """What was asked for; `rate` 0 is a closed loop, `half` a second phase at half of what was confirmed a second."""

    home: Path
    scenario: Scenario = Scenario.NORMAL
    layout: Layout = "packed"
    orders: int = 20_000
    clients: int = 64
    rate: float = 0.0
    half: bool = False
    skus: int = 2_000
    customers: int = 50
    stored: int = 1_000_000
    patience: float = 60.0
    beside: Beside | None = None
    broker_nodes: int = 1

    @property
    def load(self) -> dict[str, float]:
        """How orders come."""
        return {"rate": self.rate} if self.rate else {"clients": self.clients}


async def bench(run: Run, note: Note) -> dict[str, Any]:
    """Everything that a run has shown. Raises Failure when the shop does not come to rest."""
    state = State.open(run.home)
    run, log = replace(run, home=state.root), state.log("bench")
    log.unlink(missing_ok=True)
    named.quieten_brokers(logging.ERROR)

    def write(line: str) -> None:
        with appending(log) as lines:
            lines.write(f"{line}\n")

    machine, began = cpu.facts(), datetime.now(UTC)
    note(f"starting a shop of its own in {run.home}")
    async with a_stage(run.home, run.layout, run.scenario, write, run.broker_nodes) as stage:
        report = await _on(stage, run, note)
    if not report["audit"]["broken"]:
        remove_data(run.home)
    return {"began_at": began, "machine": machine, **report}


async def _on(stage: Stage, run: Run, note: Note) -> dict[str, Any]:
    note(f"filling {run.skus} shelves, signing in {run.customers} customers")
    await fill(stage, shelves(run.scenario, run.skus))
    kept = await durability(stage)
    async with customers(stage.state.url("gateway"), run.customers) as people:
        async with _measuring(stage, run, people, note) as measuring:
            await measuring.phase("warm-up", orders=min(WARM_UP, run.orders), clients=run.clients)
            phases = await _PHASES.get(run.scenario, _plain)(run, stage, measuring)
        note("auditing")
        verdicts = await audit(auditor_url(stage.state), Question(frozenset(Kind), told=measuring.told))
        theirs = await _beside(run, stage, people, note)
    return {
        "asked": _asked(run),
        "durability": kept,
        "phases": [*phases, *theirs],
        "growth": _growth(run, phases),
        "ratio": compared(phases[0], theirs[0]) if theirs else None,
        "restarts": stage.restarts,
        "audit": _audited(verdicts, measuring.told),
    }


async def _beside(run: Run, stage: Stage, people: Customers, note: Note) -> list[Figures]:
    """The same orders taken another way, while the shop's own workers rest, and its edges have nothing to do."""
    if run.beside is None:
        return []
    note(f"{run.beside.folder.name}: {run.beside.orders} orders, {run.beside.clients} clients")
    await stop_workers(stage)
    on_sale = shelves(run.scenario, run.skus)
    return [await measured(run.beside, stage, on_sale, people, _bodies(run))]


def _bodies(run: Run) -> list[str]:
    return bodies(run.scenario, [shelf.sku for shelf in shelves(run.scenario, run.skus)], run.orders)


def _asked(run: Run) -> dict[str, Any]:
    asked = {name: value for name, value in vars(run).items() if name not in {"home", "beside"}}
    return {
        **asked,
        "home": str(run.home),
        "warm_up": min(WARM_UP, run.orders),
        "settings": settings(run.scenario),
        "limits": LIMITS,
    }


def _audited(verdicts: Sequence[Verdict], told: Sequence[Told]) -> dict[str, Any]:
    broken = [
        {"id": each.invariant.id, "promise": each.invariant.promise, "count": each.count, "rows": each.broken[:5]}
        for each in verdicts
        if each.count
    ]
    seconds = round(sum(each.seconds for each in verdicts), 2)
    return {"promises": len(verdicts), "orders_told": len(told), "seconds": seconds, "broken": broken}


@asynccontextmanager
async def _measuring(stage: Stage, run: Run, people: Customers, note: Note) -> AsyncIterator[Measuring]:
    state, marked = stage.state, marks(run.stored if run.scenario is Scenario.MILLION else run.orders)
    cancel_each = CANCELLED if run.scenario is Scenario.MIXED else 0
    async with (
        a_generator(state.port("gateway"), people, _bodies(run), marked, cancel_each) as generator,
        watching(state.database_url, marked) as watch,
        stage.database() as database,
    ):
        counters, rest = Counters(stage, database, generator.pid), Rest(database, listeners(), run.patience)
        await counters.prepare()
        yield Measuring(database, counters, generator, watch, rest, people, note, [])


async def _plain(run: Run, _stage: Stage, measuring: Measuring) -> list[Figures]:
    """What was asked for, and then the same at half the rate that it reached, if that was asked for."""
    full = await measuring.phase("at the given rate" if run.rate else "saturated", orders=run.orders, **run.load)
    if not run.half:
        return [full]
    rate = full["confirmed_per_second"] / 2
    return [full, await measuring.phase("half load", orders=run.orders, rate=rate)]


async def _backlog(run: Run, stage: Stage, measuring: Measuring) -> list[Figures]:
    """Orders that are accepted while no worker runs, and the workers that find them."""
    workers = await stop_workers(stage)
    accepted = await measuring.accept("accepting, workers stopped", orders=run.orders, **run.load)
    drained = await measuring.drain("draining", accepted, lambda: start(stage, workers))
    return [accepted, drained]


async def _million(run: Run, _stage: Stage, measuring: Measuring) -> list[Figures]:
    """The same orders before and after many others, which take the way of all orders, too."""
    empty = await measuring.phase("empty shop", orders=run.orders, **run.load)
    each = max(1, run.stored // CHUNKS)
    stored = [
        await measuring.phase(f"{each * chunk} to {each * (chunk + 1)}", orders=each, clients=run.clients)
        for chunk in range(CHUNKS)
    ]
    return [empty, *stored, await measuring.phase(f"{run.stored} stored", orders=run.orders, **run.load)]


_PHASES = {Scenario.BACKLOG: _backlog, Scenario.MILLION: _million}


def _growth(run: Run, phases: Sequence[Figures]) -> float | None:
    """How many times what an order costs in an empty shop it costs in a full one."""
    if run.scenario is not Scenario.MILLION:
        return None
    return ratio(phases[-1]["cpu_us_per_order_total"], phases[0]["cpu_us_per_order_total"])
