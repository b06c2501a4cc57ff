"""The whole shop in one process on one database: two processes a service; the test is broker, clock and provider."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import product

import asyncpg
import httpx2

from chassis.dead_letters import DeadLetters
from chassis.ids import new_id
from chassis.relay import Relay
from chassis.tokens import Caller, Role
from inventory_service.domain.stock import SetWarehouse
from ordermill.services import load
from tests.stateful.broker import Broker, Publishing, Unconfirmed
from tests.stateful.faults import DEADLY, FragileDatabase, Mood
from tests.stateful.ids import Ids
from tests.stateful.loops import HOSTED, LOOPS
from tests.stateful.process import LOST, Process, token_of
from tests.stateful.promises import Promises
from tests.stateful.stage import Stage
from tests.support.database import as_role
from tests.support.eventually import eventually

SECRET = "between us and the provider"
PRICES = {"CUP": 1299, "TEA": 499, "JAR": 250}
WAREHOUSES = ("main", "north")
ROUNDS = 80

_OPEN_ENDS = f"""
{" UNION ALL ".join(f"SELECT '{n} defers ' || topic || ': ' || last_error FROM {n}.deferred" for n in HOSTED)}
UNION ALL SELECT key || ' is ' || status FROM payment_service.payment_attempts WHERE status IN ('processing', 'unknown')
UNION ALL SELECT key || ' is ' || status FROM payment_service.refunds WHERE status IN ('requested', 'sent', 'unknown')
UNION ALL SELECT template || ' is ' || status FROM notification_service.notifications
    WHERE status IN ('queued', 'sending', 'waiting')
UNION ALL SELECT w.type || ' is ' || w.status FROM payment_service.webhook_events w
    WHERE w.status IN ('received', 'parked') AND EXISTS (
        SELECT 1 FROM payment_service.payment_attempts a WHERE a.key = w.call_key
        UNION ALL SELECT 1 FROM payment_service.refunds r WHERE r.key = w.call_key)
"""  # noqa: S608 -- our own tables


def _received(warehouse: str, units: int) -> dict[str, object]:
    return {"delta": units, "reason": "received", "warehouse": warehouse}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client got in the end; ``interrupted`` when the first try was lost, or answered 503."""

    response: httpx2.Response
    interrupted: bool

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def replayed(self) -> bool:
        return self.response.headers.get("idempotent-replayed") == "true"

    @property
    def code(self) -> str:
        return self.response.json().get("code", "")


class Shop:
    """Opened once a run. Each example begins with an empty shop."""

    def __init__(self, url: str, stage: Stage) -> None:
        self.url = url
        self.stage = stage
        self.promises = Promises(url)
        self.loop = asyncio.get_running_loop()
        self.ids = Ids()
        self.broker = Broker({name: load(name).decisions.topics for name in HOSTED})
        self.customers = [new_id(), new_id()]
        self._staff = new_id()
        self._tokens: dict[object, str] = {}
        self._stack = AsyncExitStack()
        self._relays: dict[str, tuple[Relay, asyncpg.Connection]] = {}
        self.processes: dict[str, list[Process]] = {}

    # --- as a whole

    @classmethod
    async def opened(cls, url: str, monkeypatch) -> "Shop":
        shop = cls(url, await Stage.set_up(url))
        shop.ids.install(monkeypatch)
        await shop._open()
        return shop

    async def _open(self) -> None:
        contacts = httpx2.MockTransport(lambda _request: httpx2.Response(200, json={"email": "ada@example.org"}))
        auth = httpx2.AsyncClient(transport=contacts, base_url="http://auth")
        peers = {"auth_service": auth, "inventory_service": auth, "payment_service": auth}
        for name in HOSTED:
            service, settings = load(name), self._settings(name)
            self.processes[name] = [Process(service, settings, peers, takes_over=n == 1) for n in range(2)]
            database = FragileDatabase(as_role(self.url, name))
            self._relays[name] = Relay(name, database, ""), await database.connect()
        await self.promises.open()
        await self._furnish()

    def _settings(self, name: str):
        given = {
            "database_url": as_role(self.url, name),
            "broker_url": "amqp://nowhere",
            "edge_key": "between services",
            "provider_database_url": as_role(self.url, "provider"),
            "webhook_secret": SECRET,
            "provider_key": "shown to nobody here",
            "provider_timeout": timedelta(minutes=2),
            "simulator_scale": 0.0001,
            "simulator_tells": "all",
            "mail_channel": "null",
        }
        kind = load(name).settings
        return kind(**{field: value for field, value in given.items() if field in kind.model_fields})

    async def _furnish(self) -> None:
        await self.start()
        pipeline = self.processes["inventory_service"][0].parts.pipeline
        await asyncio.gather(*(pipeline.submit(SetWarehouse(code=w, priority=n)) for n, w in enumerate(WAREHOUSES)))
        for sku, price in PRICES.items():
            given = {"sku": sku, "name": sku.title(), "price": {"amount": price, "currency": "EUR"}, "description": ""}
            asked = await self.ask("inventory_service", "POST", "/products", json=given)
            assert asked.status == 201, asked.response.text
        await self.settle()
        await self.stop()

    async def start(self) -> None:
        for process in self._all():
            await process.start()

    async def stop(self) -> None:
        for process in self._all():
            await process.stop()

    def _all(self) -> list[Process]:
        return [process for pair in self.processes.values() for process in pair]

    async def begin(self) -> None:
        """An example begins: an empty shop, whatever the last one left."""
        self.ids.begin()
        self.broker.forget()
        await self.stage.empty()
        await self.start()

    async def close(self) -> None:
        for _, connection in self._relays.values():
            await connection.close()
        await self.promises.close()
        await self.stage.owner.close()

    # --- what happens

    def token(self, customer: int | None) -> str:
        """Of a customer, or of staff for None. They are good for the whole run."""
        if customer not in self._tokens:
            user, role = (self._staff, Role.STAFF) if customer is None else (self.customers[customer], Role.CUSTOMER)
            issuer = self.processes["order_service"][0].parts.settings.issuer
            self._tokens[customer] = token_of(Caller(user, role, new_id()), issuer)
        return self._tokens[customer]

    async def ask(self, service, method, path, *, customer=None, key=None, at=0, fault=None, **given) -> Asked:
        """What a client does: where the answer is lost, it asks again, under the same key, until there is one."""
        headers = {"Authorization": f"Bearer {self.token(customer)}", "Idempotency-Key": key or str(new_id())}
        given = {"headers": headers | given.pop("headers", {}), **given}
        processes = self.processes[service]
        [first] = await processes[at].run(processes[at].http.request(method, path, **given), fault=fault)
        if first is not LOST and first.status_code != 503:
            return Asked(first, interrupted=False)
        return Asked(await self._asked_again(processes[1 - at], method, path, given), interrupted=True)

    async def _asked_again(self, process, method, path, given) -> httpx2.Response:
        """At another process. The database may still hold the first try's key: it learns late that a client is gone."""
        answers = []

        async def is_done() -> bool:
            answers[:] = await process.run(process.http.request(method, path, **given))
            return answers[0].json().get("code") != "idempotency_key_in_use"

        await eventually(is_done)
        return answers[0]

    async def stock(self, units: dict[tuple[str, str], int]) -> list[Asked]:
        """Units of each sku are delivered to each warehouse, all at once."""
        return await asyncio.gather(
            *(
                self.ask("inventory_service", "POST", f"/stock/{sku}/adjustments", json=_received(warehouse, many))
                for (sku, warehouse), many in units.items()
            )
        )

    async def relay(self, publishing: Publishing = Publishing.CONFIRMED) -> int:
        """The relays publish; says how many messages came of it. What is not confirmed is published again later."""
        published = len(self.broker.waiting)
        self.broker.publishing = publishing
        for relay, connection in self._relays.values():
            try:
                await relay.step(connection, self.broker)
            except Unconfirmed:
                continue
        self.broker.publishing = Publishing.CONFIRMED
        return len(self.broker.waiting) - published

    async def work(self, loop: str, at: int = 0, *, fault=None, mood=Mood.ANSWERS) -> None:
        """One step of a loop of one process."""
        service, step = LOOPS[loop]
        process = self.processes[service][at]
        if loop == "charging":
            process.parts.own.provider.mood = mood
        await process.run(step(process.parts), fault=fault)
        if mood in DEADLY:
            await process.die()
        elif loop == "charging":
            process.parts.own.provider.mood = Mood.ANSWERS

    async def deliver_all(self, seed: int = 0) -> None:
        """All that waits, in some order, at both processes of each listener at once where there is a seed."""
        taken = self.broker.take_all(seed)
        places = (1, 0) if seed % 2 else (0,)
        shares = [
            (process, [m for n, m in enumerate(taken) if m.listener == name and n % len(places) == place])
            for (name, pair), place in product(self.processes.items(), places)
            for process in [pair[place]]
        ]
        await asyncio.gather(*(self.broker.deliver(share, process) for process, share in shares if share))

    async def settle(self, rounds: int = ROUNDS) -> None:
        """Relays, deliveries and loops, until nothing moves; time stands still."""
        for _ in range(rounds):
            moved = await self.relay()
            moved += len(self.broker.waiting)
            await self.deliver_all()
            for loop in ("charging", "webhooks"):
                await self.work(loop)
            if not moved:
                return

    async def drain(self) -> None:
        """Everything arrives, and every loop runs, until the shop is quiet; half a minute passes each time."""
        for _ in range(ROUNDS):
            await self.replay_parked()
            await self.settle()
            for loop in LOOPS:
                await self.work(loop)
            under_way = [*await self.stage.rows(_OPEN_ENDS), *self.broker.waiting]
            if not under_way and not await self.relay():
                return
            await self.stage.pass_time(timedelta(seconds=31))
        message = f"the shop does not come to rest: {under_way}"
        raise AssertionError(message)

    async def replay_parked(self) -> int:
        """A person has every parked event tried again."""
        return sum([await _replay(pair[0]) for pair in self.processes.values()])


async def _replay(process: Process) -> int:
    letters = DeadLetters(process.service.name)
    async with process.parts.database.transaction() as tx:
        keys = [letter.key for letter in await letters.page(tx, 1000)]
        return len(await letters.retry(tx, keys, "staff")) if keys else 0
