"""One run: the stage, the people in it, the faults, the drain, the audit of everything, the report."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from contracts.types import Role
from ordermill import named
from ordermill.ours import appending
from ordermill.prove import parcels, report
from ordermill.prove.clerks import Clerk
from ordermill.prove.customers import Customer
from ordermill.prove.door import Door
from ordermill.prove.ledger import Ledger
from ordermill.prove.nemesis import Nemesis
from ordermill.prove.person import Person, an_account
from ordermill.prove.report import Report
from ordermill.prove.schedule import Fault, draw
from ordermill.prove.stage import Stage, a_stage
from ordermill.prove.watch import Evidence, Watch, Window
from ordermill.seeds import address
from ordermill.setup import auditor_url, listeners
from ordermill.stage import remove_data
from ordermill.state import State

CLERKS = 2
TELLS_EACH = 5.0
HEARS_EACH = 0.2
READY_WITHIN = 90.0
AFTERMATH = timedelta(seconds=5)

ORDERS = "SELECT status, count(*) FROM order_service.orders GROUP BY 1 ORDER BY 2 DESC"
CONFIRMED = "SELECT at FROM order_service.order_history WHERE to_status = 'confirmed' AND from_status <> 'confirmed'"

Note = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """What was asked for."""

    seed: int
    seconds: float
    clients: int
    home: Path
    broker_nodes: int = 1


async def prove(run: Run, note: Note, plan: Sequence[Fault] | None = None) -> Report:
    """Starts a shop, hurts it, lets it recover, asks for every promise; the data is kept when one is broken.

    The faults are those of the plan, else those that the seed draws.
    """
    state = State.open(run.home)
    run, log = replace(run, home=state.root), state.log("prove")
    log.unlink(missing_ok=True)
    named.quieten_brokers(logging.CRITICAL)  # that its connections are lost is what is wanted

    def write(line: str) -> None:
        with appending(log) as lines:
            lines.write(f"{datetime.now(UTC):%H:%M:%S.%f} {line}\n")

    note(f"seed {run.seed}: starting a shop of its own in {run.home}")
    async with a_stage(run.home, write, run.broker_nodes) as stage:
        result = await _Proof(run, stage, note, plan).result()
    if result.held and not result.short_of():
        remove_data(run.home)
    return result


class _Proof:
    """A run at work."""

    def __init__(self, run: Run, stage: Stage, note: Note, plan: Sequence[Fault] | None) -> None:
        self._run = run
        self._stage = stage
        self._note = note
        self._plan = draw(run.seed, run.seconds, stage.ours, stage.servers[1:]) if plan is None else plan
        self._watch = Watch(auditor_url(stage.state))
        self._nemesis = Nemesis(stage, listeners())
        file = run.home / "told.jsonl"
        file.unlink(missing_ok=True)
        self._ledger = Ledger(file)

    async def result(self) -> Report:
        async with self._people() as (customers, clerks):
            await self._hurt(customers, clerks)
        self._note("no more faults; waiting until everything is back and drained")
        async with asyncio.timeout(READY_WITHIN):
            await self._stage.until_all_ready()
        return await self._report(await self._watch.at_rest(self._evidence))

    async def _hurt(self, customers: Sequence[Customer], clerks: Sequence[Clerk]) -> None:
        run, began = self._run, time.monotonic()
        beside = [asyncio.create_task(self._watch.run(self._outages)), asyncio.create_task(self._tell(began))]
        try:
            async with asyncio.TaskGroup() as work:
                work.create_task(self._nemesis.run(self._plan))
                for customer in customers:
                    work.create_task(customer.run(began + run.seconds))
                for clerk in clerks:
                    work.create_task(clerk.run(began + run.seconds))
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _tell(self, began: float) -> None:
        while True:
            await asyncio.sleep(TELLS_EACH)
            done, broken = len(self._nemesis.inflicted), len(self._watch.broken) + len(self._ledger.wrong)
            orders, seconds = len(self._ledger.told), time.monotonic() - began
            self._note(f"{seconds:5.0f} s  {orders} orders accepted, {done} faults, {broken} promises broken")

    async def _evidence(self) -> Evidence:
        async with self._stage.database() as database:
            parked = await parcels.parked(database, self._nemesis.poisoned)
        return Evidence(self._ledger.told, self._outages(), parked)

    def _outages(self) -> list[Window]:
        """The windows of the faults and of what they leave behind."""
        now, inflicted = datetime.now(UTC), [each for each in self._nemesis.inflicted if not each.missed]
        return [(each.began_at, (each.ready_at or now) + AFTERMATH) for each in inflicted]

    @asynccontextmanager
    async def _people(self) -> AsyncIterator[tuple[list[Customer], list[Clerk]]]:
        """Customers with accounts of their own, and clerks who share the demo account, all signed in."""
        state, random = self._stage.state, Random(self._run.seed)  # noqa: S311 -- it has to be repeatable
        async with Door(f"{state.url('gateway')}/api/v1") as door:

            def person(account: dict[str, str]) -> Person:
                return Person(door, self._ledger, account, Random(random.getrandbits(64)))  # noqa: S311

            customers = [person(an_account(f"customer-{number}")) for number in range(self._run.clients)]
            staff = {"email": address(Role.STAFF), "password": state.demo_password(Role.STAFF)}
            clerks = [person(staff) for _ in range(CLERKS)]
            await asyncio.gather(*(each.register() for each in customers), *(each.sign_in() for each in clerks))
            async with asyncio.timeout(READY_WITHIN):
                skus = await _on_sale(customers[0])
            yield [Customer(each, skus) for each in customers], [Clerk(each) for each in clerks]

    async def _report(self, drained: float | None) -> Report:
        run, ledger, nemesis, watch = self._run, self._ledger, self._nemesis, self._watch
        async with self._stage.database() as database:
            orders = await database.fetch(ORDERS)
            confirmed = [row["at"] for row in await database.fetch(CONFIRMED)]
        return Report(
            seed=run.seed,
            seconds=run.seconds,
            clients=run.clients,
            accepted=len({told.order_id for told in ledger.told}),
            orders={row["status"]: row["count"] for row in orders},
            acts=dict(ledger.acts.most_common()),
            tries=report.tries(ledger),
            confirmations=report.confirmations(confirmed),
            faults=report.faults(nemesis.inflicted, confirmed),
            missed=sum(bool(each.missed) for each in nemesis.inflicted),
            restarts=self._stage.restarts,
            audits=report.audits(watch),
            drained=None if drained is None else round(drained, 1),
            poisoned=len(nemesis.poisoned),
            broken=[vars(broken) for broken in watch.broken.values()],
            contradictions=ledger.wrong,
            home=str(run.home),
        )


async def _on_sale(person: Person) -> list[str]:
    """The skus of all products, as soon as order_service has heard of each of them."""
    products = await person.get("/products", limit=100)
    skus = [product["sku"] for product in products["data"]]
    cart = {"lines": [{"sku": sku, "quantity": 1} for sku in skus]}
    while (await person.post("/quotes", cart)).is_error:  # noqa: ASYNC110 -- it is an event on its way
        await asyncio.sleep(HEARS_EACH)
    return skus
