"""A whole shop in one process, taken step by step, whose work is counted: statements, parcels, lines, calls of Python.

PostgreSQL, the pipelines, the relays, the provider and the mails are the real ones; parcels go from hand to hand.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import asyncpg

from chassis.api import api
from chassis.app import Parts
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.ids import new_id
from chassis.pipeline import Pipeline
from chassis.relay import Relay
from chassis.tokens import Caller, KeyPair, Role, issue
from contracts.types import UnitPrice
from inventory_service.domain.movement import Reason
from inventory_service.domain.product import CreateProduct
from inventory_service.domain.stock import AdjustStock
from ordermill.setup import listeners

SERVICES = ("order_service", "inventory_service", "payment_service", "notification_service")
LONGEST = 5_000  # looks, a millisecond each, for all commands that are expected
STEADY = 20  # turns of the event loop in which nothing more comes to wait
KEYS = KeyPair.new()
CUSTOMER = new_id()

_TOUCHED = re.compile(r"(INSERT INTO|UPDATE|DELETE FROM)\s+\w+\.(\w+)", re.IGNORECASE)
_READ = re.compile(r"FROM\s+\w+\.(\w+)", re.IGNORECASE)
_SHORT = {"unlock_all": "reset", "advisory": "lock keys", "pg_notify": "notify"}


@dataclass
class Step:
    """What one step of a batch's life took."""

    statements: list[str] = field(default_factory=list)
    parcels: int = 0
    events: int = 0
    bytes: int = 0
    lines: int = 0
    calls: int = 0

    @property
    def trips(self) -> int:
        return len(self.statements)

    @property
    def transactions(self) -> int:
        return sum(statement.startswith("begin") for statement in self.statements)


def told(sql: str) -> str:
    """A statement in two words for each table: what it does, and to which; all that one statement writes at once."""
    if touched := _TOUCHED.findall(sql):
        both = [f"{verb.split()[0].lower()} {table}" for verb, table in touched]
        return " + ".join(both if sql.startswith("WITH w0") else both[:1])
    if read := _READ.search(sql):
        return f"select {read[1]}"
    words = re.sub(r"[\s;]+", " ", sql).strip().lower()
    return next((short for mark, short in _SHORT.items() if mark in words), words[:40])


class CountedShop:
    """The services, and what each step takes; `lines` says how many lines were logged since it was asked last."""

    def __init__(self, parts: Mapping[str, Parts], lines: Callable[[], int]) -> None:
        self.parts = parts
        self.steps: dict[str, Step] = {}
        self.counts_calls = True
        self._lines = lines
        issuer = parts["order_service"].settings.issuer
        self._token = issue(KEYS, Caller(CUSTOMER, Role.CUSTOMER, new_id()), issuer=issuer, now=time.time())
        self._step = Step()
        self._expected = 0
        self._app = api(parts["order_service"])
        self._consumers = {name: _consumer(each) for name, each in parts.items()}
        self._relays = {name: Relay(name, each.database, "amqp://nowhere") for name, each in parts.items()}
        self.connections: dict[str, asyncpg.Connection] = {}
        self._published: list[Any] = []
        self._handed: dict[str, list[Any]] = {}

    async def connect(self) -> None:
        """Opens what the relays use, and has the loops' work kept until their turn comes."""
        for name, each in self.parts.items():
            self.connections[name] = await each.database.connect()
            if each.service.handover is not None:
                kept = self._handed[name] = []
                each.pipeline.handover = replace(each.service.handover(each), begin=partial(_keep, kept))

    def databases(self) -> list[Database]:
        """Of the services, and the provider's books."""
        books = self.parts["payment_service"].own.provider.simulator.books._database
        return [*(each.database for each in self.parts.values()), books]

    def close(self) -> None:
        for connection in self.connections.values():
            connection.terminate()

    def asked(self, record: asyncpg.connection.LoggedQuery) -> None:
        """A statement was sent."""
        self._step.statements.append(told(record.query))

    async def publish(self, rows: Sequence[Any]) -> Sequence[bool]:
        """The broker: it has every parcel for good."""
        self._published.extend(rows)
        self._step.parcels += len(rows)
        self._step.bytes += sum(len(row["events"]) for row in rows)
        self._step.events += sum(len(json.loads(row["events"])) for row in rows)
        return [True] * len(rows)

    async def stock(self, skus: Iterable[str]) -> None:
        """Products that can be ordered, known to orders."""
        price = UnitPrice(amount=1250, currency="EUR")
        submit = self.parts["inventory_service"].pipeline.submit
        made = [
            submit(command)
            for sku in skus
            for command in (
                CreateProduct(sku=sku, name=sku, description="", price=price),
                AdjustStock(sku=sku, delta=1_000, reason=Reason.RECEIVED),
            )
        ]
        await self._until(self.parts["inventory_service"], asyncio.gather(*made))
        await self._rest()

    async def live(self, orders: Sequence[Mapping[str, Any]]) -> dict[str, Step]:
        """Orders that come together, and all that follows until nothing moves."""
        self.steps = {}
        edge = self.parts["order_service"]
        self._expected = len(orders)
        answered = await self._counted("order_service: POST /orders", edge, self._posted(orders))
        self._expected = 0
        assert answered == [201] * len(orders)
        await self._rest()
        return self.steps

    async def _posted(self, orders: Sequence[Mapping[str, Any]]) -> list[int]:
        return await asyncio.gather(*(_post(self._app, self._token, json.dumps(order).encode()) for order in orders))

    async def _rest(self) -> None:
        moved = True
        while moved:
            moved = False
            for name in SERVICES:
                moved |= await self._relayed(name)
            payments, mails = self.parts["payment_service"], self.parts["notification_service"]
            await self._counted("payment_service: charging", payments, self._handed_over(payments))
            await self._counted("notification_service: sending", mails, self._handed_over(mails))

    async def _relayed(self, name: str) -> bool:
        """Publishes what a service has told, and lets all who listen hear it."""
        self._published.clear()
        step = self._relays[name].step(self.connections[name], self)
        await self._counted(lambda: f"{name}: tells {self._topics()}", None, step)
        rows, topics = [*self._published], self._topics()
        for listener, consumer in self._consumers.items():
            if heard := [row for row in rows if row["topic"] in listeners()[listener]]:
                label = f"{listener}: hears {', '.join(sorted({row['topic'] for row in heard}))}"
                await self._counted(label, self.parts[listener], _settled(consumer, heard))
        return bool(topics)

    async def _handed_over(self, parts: Parts) -> None:
        """What was handed over to a service's loop is done."""
        handed = self._handed[parts.service.name]
        if handed and parts.service.handover:
            parts.service.handover(parts).begin([*handed], asyncio.get_running_loop().time())
        handed.clear()
        await asyncio.gather(*parts.own.flights)

    def _topics(self) -> str:
        return ", ".join(sorted({row["topic"] for row in self._published}))

    async def _counted(self, name: str | Callable[[], str], parts: Parts | None, work: Awaitable[Any]) -> Any:
        """Does it, and counts; what has found nothing to do counts for nothing."""
        self._step = Step()
        self._lines()
        sys.setprofile(self._called if self.counts_calls else None)
        try:
            done = await (self._until(parts, work) if parts else work)
            await asyncio.sleep(0)
        finally:
            sys.setprofile(None)
        self._step.lines = self._lines()
        if self._step.lines or self._step.parcels:
            self._add(name if isinstance(name, str) else name())
        return done

    def _called(self, _frame: object, event: str, _argument: object) -> None:
        if event == "call":
            self._step.calls += 1

    def _add(self, name: str) -> None:
        known, more = self.steps.setdefault(name, Step()), self._step
        for counter in vars(known):
            setattr(known, counter, getattr(known, counter) + getattr(more, counter))

    async def _until(self, parts: Parts, work: Awaitable[Any]) -> Any:
        """Does it, and settles whatever comes to wait for the service's pipeline, all of it as one batch."""
        pipeline, done = parts.pipeline, asyncio.ensure_future(work)
        while not done.done():
            arrived = asyncio.ensure_future(pipeline._arrived.wait())
            await asyncio.wait((done, arrived), return_when=asyncio.FIRST_COMPLETED)
            arrived.cancel()
            if done.done():
                break
            await _gathered(pipeline, self._expected)
            while pipeline._waiting:
                await pipeline.step()
            pipeline._arrived.clear()
            await asyncio.sleep(0)
        return await done


async def _gathered(pipeline: Pipeline, expected: int) -> None:
    """Returns when as many wait as are expected, some of which may come from other threads, and no more come."""
    for _ in range(LONGEST):
        if len(pipeline._waiting) >= expected:
            break
        await asyncio.sleep(0.001)
    waiting, turns = 0, 0
    while turns < STEADY:
        waiting, turns = len(pipeline._waiting), turns + 1 if len(pipeline._waiting) == waiting else 0
        await asyncio.sleep(0)


def _keep(kept: list[Any], works: Sequence[Any], _since: float) -> None:
    kept.extend(works)


def _consumer(parts: Parts) -> Consumer:
    return Consumer(parts.service.name, "amqp://nowhere", parts.database, parts.pipeline, parts.work)


async def _settled(consumer: Consumer, rows: Sequence[Any]) -> None:
    settling = (consumer.settle(str(r["id"]), r["topic"], r["events"].encode(), redelivered=False) for r in rows)
    await asyncio.gather(*settling)


async def _post(app: Any, token: str, body: bytes) -> int:
    """The status that POST /orders is answered with, without a socket."""
    said: list[dict[str, Any]] = []
    asked = [{"type": "http.request", "body": body, "more_body": False}]
    headers = {"authorization": f"Bearer {token}", "idempotency-key": str(new_id()), "content-type": "application/json"}

    async def receive() -> dict[str, Any]:
        return asked.pop() if asked else await asyncio.Event().wait()

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/api/v1/orders", "raw_path": b"/api/v1/orders", "root_path": "", "query_string": b"",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        "headers": [
            (name.encode(), value.encode())
            for name, value in {**headers, "content-length": str(len(body))}.items()
        ],
    }  # fmt: skip
    await app(scope, receive, send)
    return int(said[0]["status"])
