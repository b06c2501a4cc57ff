"""A process that is told to end finishes what it has taken and exits with 0 within ten seconds, whatever hangs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import httpx2
import pytest

from ordermill.services import SERVICES
from tests.support.eventually import eventually
from tests.support.outcomes import confirmed_once
from tests.support.people import Person, a_customer, a_key, a_product, an_order_for
from tests.support.replica import Replica, a_replica
from tests.support.running_shop import RunningShop

ENDS_WITHIN = 10.0
CUSTOMERS = 12
PACKED_API = ("gateway", *SERVICES, "--role", "api")
WORKERS = (*SERVICES, "--role", "worker")


class Traffic:
    """Customers who order one after the other, and remember each answer; `cut` counts what was no answer at all."""

    def __init__(self, url: str, person: Person, sku: str) -> None:
        self._url = f"{url}/api/v1"
        self._person = person
        self._sku = sku
        self.orders: list[dict[str, object]] = []
        self.refused: list[httpx2.Response] = []
        self.cut: list[Exception] = []
        self.is_open = True

    async def flow(self) -> None:
        """Orders until the door is closed: by the test, or by refused connections and good-byes."""
        await asyncio.gather(*(self._customer() for _ in range(CUSTOMERS)))

    async def _customer(self) -> None:
        async with httpx2.AsyncClient(base_url=self._url, timeout=40, trust_env=False) as client:
            with suppress(httpx2.ConnectError):
                while self.is_open and await self._orders(client):
                    pass

    async def _orders(self, client: httpx2.AsyncClient) -> bool:
        headers = {**self._person.authorized, "Idempotency-Key": a_key()}
        try:
            response = await client.post("/orders", json=an_order_for(self._sku), headers=headers)
        except httpx2.ConnectError:
            raise
        except httpx2.TransportError as failure:
            self.cut.append(failure)
            return False
        if response.status_code == 201:
            self.orders.append(response.json())
        else:
            self.refused.append(response)
        return response.headers.get("connection") != "close"


async def _stream(url: str, person: Person, order: dict[str, object]) -> list[str]:
    """The lines of an order's stream, until it ends in good order. Raises when it is cut."""
    path = f"{url}/api/v1/orders/{order['id']}/stream"
    async with (
        httpx2.AsyncClient(timeout=60, trust_env=False) as client,
        client.stream("GET", path, headers=person.authorized) as response,
    ):
        return [line async for line in response.aiter_lines()]


async def _waits_for_an_order(url: str, person: Person, sku: str) -> httpx2.Response:
    """An order that is in the works for as long as its card is silent, and its customer with it."""
    async with httpx2.AsyncClient(base_url=f"{url}/api/v1", timeout=60, trust_env=False) as client:
        headers = {**person.authorized, "Idempotency-Key": a_key(), "Prefer": "wait=30"}
        return await client.post("/orders", json=an_order_for(sku, token="tok_timeout"), headers=headers)


async def _half_sent(port: int) -> bytes:
    """What becomes of a request of which the end never comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (b"POST /api/v1/orders HTTP/1.1", b"host: x", b"content-type: application/json", b"content-length: 100")
    writer.write(b"\r\n".join(head) + b"\r\n\r\n{")
    answer = await reader.read()
    writer.close()
    return answer


@pytest.fixture
async def plenty(staff: Person) -> str:
    """A sku that does not run out."""
    return await a_product(staff, stock=100_000)


EDGES = {
    "packed": (PACKED_API, ()),
    "order_service": (("order_service", "--role", "api"), ("auth_service", "inventory_service")),
    "gateway": (("gateway", "--role", "api"), SERVICES),
}


@asynccontextmanager
async def _addresses(shop: RunningShop, peers: Sequence[str]) -> AsyncIterator[dict[str, str]]:
    """Peers behind the shop's gateway; but what accounts tell their neighbours alone, no gateway lets through."""
    behind = dict.fromkeys(peers, shop.url)
    if "auth_service" not in peers:
        yield behind
        return
    async with a_replica(shop, "auth_service", "--role", "api") as accounts:
        await accounts.ready()
        yield {**behind, "auth_service": accounts.url}


@pytest.mark.parametrize("edge", EDGES)
async def test_an_edge_answers_whoever_has_asked_and_ends_streams_in_good_order(
    shop: RunningShop, client: httpx2.AsyncClient, sku: str, plenty: str, edge: str
):
    # given
    customer, onlooker = await a_customer(client), await a_customer(client)
    unpaid = await onlooker.ordered(sku, token="tok_declined")
    await onlooker.reaches(unpaid, payment_status="failed")
    words, peers = EDGES[edge]
    async with _addresses(shop, peers) as addresses, a_replica(shop, *words, peers=addresses) as replica:
        await replica.ready()
        traffic = Traffic(replica.url, customer, plenty)
        flowing = asyncio.create_task(traffic.flow())
        streaming = asyncio.create_task(_stream(replica.url, onlooker, unpaid))
        waiting = asyncio.create_task(_waits_for_an_order(replica.url, onlooker, sku))
        half_sent = asyncio.create_task(_half_sent(replica.port))
        await eventually(lambda: len(traffic.orders) > 3 * CUSTOMERS)

        # when
        replica.terminate()
        code, seconds = await replica.ended()

        # then
        assert (code, seconds < ENDS_WITHIN) == (0, True)
        await flowing
        assert traffic.cut == []
        assert all(answer.status_code == 503 and "Retry-After" in answer.headers for answer in traffic.refused)
        assert any(line.startswith("event: order") for line in await streaming)
        answer = await waiting
        assert answer.status_code == 201 or (answer.status_code == 503 and "Retry-After" in answer.headers)
        assert await half_sent == b""
    await confirmed_once(shop, customer, traffic.orders, plenty)


@pytest.mark.parametrize("words", [WORKERS, ("payment_service", "--role", "worker")], ids=["packed", "payment"])
async def test_a_worker_finishes_what_it_has_taken_and_the_others_go_on(
    shop: RunningShop, customer: Person, plenty: str, words: Sequence[str]
):
    # given
    async with a_replica(shop, *words) as replica:
        await replica.ready()
        traffic = Traffic(shop.url, customer, plenty)
        flowing = asyncio.create_task(traffic.flow())
        await eventually(lambda: len(traffic.orders) > 3 * CUSTOMERS)

        # when
        replica.terminate()
        code, seconds = await replica.ended()

        # then
        assert (code, seconds < ENDS_WITHIN) == (0, True)
        traffic.is_open = False
        await flowing
        assert traffic.refused + traffic.cut == []
    await confirmed_once(shop, customer, traffic.orders, plenty)


async def _broker_frozen(replica: Replica) -> None:
    replica.broker.freeze()


async def _broker_down(replica: Replica) -> None:
    replica.broker.unplug()
    await eventually(lambda: _is_unready(replica))


async def _database_frozen(replica: Replica) -> None:
    replica.database.freeze()


async def _database_down(replica: Replica) -> None:
    replica.database.unplug()
    await eventually(lambda: _is_unready(replica))


async def _is_unready(replica: Replica) -> bool:
    return not await replica.is_ready()


HARMS = [_broker_frozen, _broker_down, _database_frozen, _database_down]


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__.strip("_"))
async def test_a_worker_whose_servers_are_away_or_frozen_ends_in_time(
    shop: RunningShop, customer: Person, plenty: str, harm
):
    # given
    async with a_replica(shop, *WORKERS) as replica:
        await replica.ready()
        orders = [await customer.ordered(plenty) for _ in range(10)]
        await harm(replica)

        # when
        replica.terminate()
        code, seconds = await replica.ended()

        # then
        assert (code, seconds < ENDS_WITHIN) == (0, True)
    await confirmed_once(shop, customer, orders, plenty, within=90)


async def test_a_worker_that_hangs_in_a_handshake_ends_in_time(shop: RunningShop):
    # given
    async with a_replica(shop, *WORKERS) as replica:
        replica.broker.freeze()
        await eventually(replica.is_alive)
        await eventually(lambda: replica.broker.carried > 0)

        # when
        replica.terminate()
        code, seconds = await replica.ended()

        # then
        assert (code, seconds < ENDS_WITHIN) == (0, True)


@pytest.mark.parametrize("harm", [_database_frozen, _database_down], ids=["frozen", "down"])
async def test_an_edge_whose_database_is_away_or_frozen_tells_whoever_asks_and_ends_in_time(
    shop: RunningShop, customer: Person, plenty: str, harm
):
    # given
    async with a_replica(shop, *PACKED_API) as replica:
        await replica.ready()
        traffic = Traffic(replica.url, customer, plenty)
        flowing = asyncio.create_task(traffic.flow())
        await eventually(lambda: len(traffic.orders) > CUSTOMERS)
        await harm(replica)

        # when
        replica.terminate()
        code, seconds = await replica.ended()

        # then
        assert (code, seconds < ENDS_WITHIN) == (0, True)
        await flowing
        assert traffic.cut == []
        assert {answer.status_code for answer in traffic.refused} <= {503}
        assert all("Retry-After" in answer.headers for answer in traffic.refused)


async def test_the_provider_ends_in_time(shop: RunningShop):
    # given
    async with a_replica(shop, "provider", "--role", "api") as replica:
        await replica.ready()

        # when
        replica.terminate()
        code, seconds = await replica.ended()

        # then
        assert (code, seconds < ENDS_WITHIN) == (0, True)
