"""The whole shop in one process: each service's own parts, workers and apis, over memory, broker and provider."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import inventory_service.main
import notification_service.main
import order_service.main
import payment_service.main
from chassis.app import Parts, Service, opened, work_of
from chassis.deferred import ATTEMPTS, STARTS
from chassis.http import Edge, edge_of
from chassis.pipeline import Pipeline
from chassis.tasks import forever
from chassis.tokens import Caller
from chassis.worker import Worker
from tests.simulation.broker import Broker, Reader
from tests.simulation.loop import PROCESS, Begins, Point, Process
from tests.simulation.network import Wire
from tests.simulation.world import World
from tests.support.memory.database import Connection, Database, Schema, Transaction
from tests.support.memory.service_statements import answers
from tests.support.memory.tables import Row

SERVICES = {
    each.name: each
    for each in (
        order_service.main.service,
        inventory_service.main.service,
        payment_service.main.service,
        notification_service.main.service,
    )
}
WITH_EDGE = ("order_service", "inventory_service", "payment_service")
BUSY_FOR = 15.0
IDLE_TRANSACTION, IDLE_SESSION, HEARTBEAT = 5.0, 10.0, 13.0


@dataclass(eq=False)
class Slot:
    """What a supervisor keeps running: the apis or the workers of some services."""

    name: str
    services: Sequence[str]
    is_api: bool
    process: Process | None = None
    stop: asyncio.Event | None = None


@dataclass
class Counts:
    """What happened in one simulation."""

    faults: Counter[str] = field(default_factory=Counter)
    seen: Counter[Point] = field(default_factory=Counter)
    crashed: Counter[Point] = field(default_factory=Counter)


class Shop:
    """The shop of one world. At each ``target`` its process is killed the first time that it waits there."""

    def __init__(self, world: World, targets: Iterable[str] = ()) -> None:
        self.world = world
        self.targets = set(targets)
        self.counts = Counts()
        self.schemas = {name: Schema(service.metadata, answers(name)) for name, service in SERVICES.items()}
        self.broker = Broker(world, {name: service.decisions.topics for name, service in SERVICES.items()})
        self.apis: dict[str, dict[Process, Parts]] = {name: {} for name in WITH_EDGE}
        self.settings = {name: self._settings(service) for name, service in SERVICES.items()}
        self.peers: dict[str, Any] = {}
        self.slots = self._layout()
        self._of: dict[Process, Slot] = {}
        self.opening: dict[tuple[str, str], int] = {}
        self.skus = [f"SKU-{n}" for n in range(world.rng.choice((2, 3)))]
        world.loop.at_rest = self._at_rest

    def _layout(self) -> list[Slot]:
        rng = self.world.rng
        copies = range(rng.choice((1, 1, 2)))
        if rng.random() < 0.25:
            return [
                *(Slot(f"shop.worker {n}", tuple(SERVICES), is_api=False) for n in copies),
                *(Slot(f"shop.api {n}", WITH_EDGE, is_api=True) for n in copies),
            ]
        return [
            *(Slot(f"{name}.worker {n}", (name,), is_api=False) for name in SERVICES for n in copies),
            *(Slot(f"{name}.api {n}", (name,), is_api=True) for name in WITH_EDGE for n in copies),
        ]

    def _settings(self, service: Service) -> Any:
        times = self.world.times
        own: dict[str, Any] = {
            "order_service": {
                "pay_by": timedelta(seconds=times.pay_by),
                "settle_by": timedelta(seconds=times.settle_by),
            },
            "payment_service": {
                "provider_database_url": "memory://provider",
                "webhook_secret": "whsec_c2VjcmV0",
                "provider_key": "shown to nobody here",
                "provider_timeout": timedelta(seconds=times.provider_timeout),
                "lease": timedelta(seconds=times.lease),
            },
        }
        everyone = {"database_url": "memory://", "broker_url": "memory://", "edge_key": "of services"}
        return service.settings(**everyone, **own.get(service.name, {}))

    @property
    def is_busy(self) -> bool:
        """Whether staff ship and refund; after a while without faults what still waits for them is left."""
        return self.world.loop.time() < self.world.times.faulty + BUSY_FOR

    # --- what is stored

    def rows(self, service: str, table: str) -> list[Row]:
        return list(self.schemas[service].tables[table].rows.values())

    def row(self, service: str, table: str, *key: Any) -> Row:
        return self.schemas[service].tables[table].rows[key]

    def stock_shelves(self) -> None:
        """Products and stock as they were when everything was quiet."""
        stocked, known = self.schemas["inventory_service"].tables, self.schemas["order_service"].tables
        at = self.world.now()
        for sku in self.skus:
            price = {"price_amount": self.world.rng.randint(1, 5000), "price_currency": "EUR"}
            product = {"sku": sku, "name": sku, "active": True, "version": 1}
            times = {"created_at": at, "updated_at": at}
            stocked["products"].store((sku,), {**product, **price, **times, "description": ""})
            known["products"].store((sku,), {**product, "price": price["price_amount"], "currency": "EUR"})
            for place, warehouse in enumerate(("main", "north")):
                stocked["warehouses"].store((warehouse,), {"code": warehouse, "priority": place})
                self._stock(sku, warehouse, self.world.rng.choice((0, 20, 100)))

    def _stock(self, sku: str, warehouse: str, on_hand: int) -> None:
        self.opening[sku, warehouse] = on_hand
        level = {"on_hand": on_hand, "reserved": 0, "backorder_limit": 0, "low_threshold": 2}
        row = {"sku": sku, "warehouse": warehouse, **level, "low": on_hand <= 2, "version": 1, "low_told_at": None}
        self.schemas["inventory_service"].tables["stock"].store((sku, warehouse), row)

    def retry_parked(self) -> None:
        """What is parked is put back for one more try, as ``dead retry`` puts it back."""
        for schema in self.schemas.values():
            for key, row in list(schema.tables["deferred"].rows.items()):
                if row["state"] == "parked":
                    attempts = STARTS if row["careful"] else ATTEMPTS - 1
                    again = {"state": "deferred", "attempts": attempts, "not_before": self.world.now()}
                    schema.tables["deferred"].store(key, row | again)

    # --- processes

    def open(self) -> None:
        for slot in self.slots:
            self._start(slot)

    def _start(self, slot: Slot) -> None:
        slot.stop = asyncio.Event()
        slot.process = self.world.loop.start(slot.name, lambda: self._main(slot))
        self._of[slot.process] = slot

    async def _main(self, slot: Slot) -> None:
        process, stop = PROCESS.get(), slot.stop
        try:
            async with AsyncExitStack() as stack:
                for name in slot.services:
                    parts = self.parts(name)
                    await stack.enter_async_context(self._api(parts) if slot.is_api else self._worker(parts))
                await stop.wait()
        finally:
            if process.alive:
                self.world.loop.later(0, lambda: self._ended(process))

    @asynccontextmanager
    async def _api(self, parts: Parts) -> AsyncIterator[None]:
        process = PROCESS.get()
        async with opened(parts, Begins(forever, "pipeline", parts.pipeline.run)):
            self.apis[parts.service.name][process] = parts
            yield
            del self.apis[parts.service.name][process]

    @asynccontextmanager
    async def _worker(self, parts: Parts) -> AsyncIterator[None]:
        worker = Worker(parts)
        reader = Reader(parts.service.name, "memory://", parts.database, parts.pipeline, parts.work)
        reader.broker_, reader.prefetch = self.broker, self.world.rng.choice((1, 3, 16))
        worker.consumer = reader
        async with worker.running():
            yield

    def parts(self, name: str) -> Parts:
        """As ``chassis.app.parts_of`` makes them, over memory."""
        service, database = SERVICES[name], Database(self.schemas[name], Wire(self.world, name))
        work = work_of(service)
        looks = self.world.times.looks
        loops = tuple(replace(loop, every=loop.every * looks) for loop in service.loops)
        return Parts(
            service=replace(service, loops=loops),
            settings=self.settings[name],
            database=database,
            pipeline=Pipeline(name, database, work),
            work=work,
            peers=self.peers,
            verifier=None,
            assertions=None,
            watch=None,
        )

    def _ended(self, process: Process) -> None:
        """By itself, or killed: the supervisor starts another one after a while."""
        slot = self._of.pop(process, None)
        if slot is None:
            return
        for apis in self.apis.values():
            apis.pop(process, None)
        self.world.loop.kill(process)
        self.world.loop.later(self.world.rng.random() * self.world.times.restart, lambda: self._start(slot))

    # --- what goes wrong

    def _at_rest(self, process: Process, point: Point) -> None:
        slot = self._of.get(process)
        if slot is None:
            return
        world, faults = self.world, self.world.faults
        killed = faults.killed if point in self.counts.seen else faults.killed_at_first
        self.counts.seen[point] += 1
        is_target = bool(self.targets) and str(point) in self.targets
        if world.happens(killed) or is_target:
            self.targets.discard(str(point))
            self.counts.crashed[point] += 1
            self.counts.faults["killed"] += 1
            self._ended(process)
        elif world.happens(faults.stopped) and slot.stop is not None and not slot.stop.is_set():
            self.counts.faults["stopped"] += 1
            slot.stop.set()
        elif world.happens(faults.frozen):
            self.counts.faults["frozen"] += 1
            self._freeze(process)

    def _freeze(self, process: Process) -> None:
        loop = self.world.loop
        loop.freeze(process)
        loop.later(IDLE_TRANSACTION, lambda: self._cut(process, Transaction))
        loop.later(IDLE_SESSION, lambda: self._cut(process, Connection))
        loop.later(HEARTBEAT, lambda: self._cut(process, object))
        loop.later(self.world.times.frozen * self.world.rng.random(), lambda: loop.thaw(process))

    def _cut(self, process: Process, kind: type) -> None:
        """Whoever serves a frozen process gives it up."""
        ends = [end for end in process.at_end if isinstance(getattr(end, "__self__", None), kind)]
        for end in ends if process.frozen and process.alive else ():
            process.at_end.pop(end, None)
            end()

    def restarts(self) -> None:
        """Once a second: a server may die and come back."""
        world, faults = self.world, self.world.faults
        for name, schema in self.schemas.items():
            if world.happens(faults.database_restarts):
                self.counts.faults["database restarts"] += 1
                world.take_down(name, 3 * world.rng.random())
                schema.restart()
        if world.happens(faults.broker_restarts):
            self.counts.faults["broker restarts"] += 1
            world.take_down("broker", 3 * world.rng.random())
            self.broker.restart()
        world.loop.later(1.0, self.restarts)

    # --- over HTTP

    async def ask(self, service: str, call: Callable[[Parts], Awaitable[Any]]) -> Any:
        """What the service answers; ConnectionError or TimeoutError when nobody knows whether it did."""
        world, faults = self.world, self.world.faults
        await world.travel()
        running_ = [(process, parts) for process, parts in self.apis[service].items() if process.alive]
        if not running_ or world.happens(faults.request_lost):
            raise world.gone()
        process, parts = world.rng.choice(running_)
        reply: asyncio.Future[Any] = world.loop.create_future()

        def gone() -> None:
            if not reply.done():
                reply.set_exception(world.gone())

        def answered(task: asyncio.Task[Any]) -> None:
            process.at_end.pop(gone, None)
            failure = world.gone() if task.cancelled() else task.exception()
            if not reply.done() and failure is not None:
                reply.set_exception(failure)
            elif not reply.done():
                reply.set_result(task.result())

        process.at_end[gone] = None
        task = world.loop.create_task(call(parts), context=process.context.copy())  # type: ignore[arg-type]
        task.add_done_callback(answered)
        try:
            async with asyncio.timeout(world.times.patience):
                answer = await reply
        except TimeoutError:
            if world.happens(0.5):
                task.cancel()
            raise
        await world.travel()
        if world.happens(faults.reply_lost):
            raise world.gone()
        return answer


def edge(parts: Parts, caller: Caller, path: str) -> Edge:
    """The chassis' edge for one request of this caller."""
    return edge_of({"caller": caller, "path": path, "headers": []}, parts)
