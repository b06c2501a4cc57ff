"""Every service in processes of its own: the same promises, over real sockets between them."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx2
import pytest

from tests.support.eventually import eventually
from tests.support.outcomes import confirmed_once
from tests.support.people import Insistent, Person, a_product, an_order_for, logged_in, uuid_of, visiting
from tests.support.running_shop import RunningShop, a_running_shop

SERVICES = ("auth_service", "inventory_service", "order_service", "payment_service", "notification_service")
OURS = ["gateway", "provider", "auditor", *(f"{service}.{role}" for service in SERVICES for role in ("api", "worker"))]
BACK_WITHIN = 20.0
EXTERNAL = re.compile(rb"""(?:src|href|url|action)\s*[=(:]\s*["']?\s*(?:https?:)?//""")


@pytest.fixture(scope="module")
async def packed(shop: RunningShop) -> RunningShop:
    return shop


@pytest.fixture(scope="module")
async def split(run_folder: Path) -> AsyncIterator[RunningShop]:
    async with a_running_shop(run_folder / "split", "split") as running:
        yield running


@pytest.fixture
async def client(split: RunningShop) -> AsyncIterator[httpx2.AsyncClient]:
    async with visiting(split) as opened:
        yield opened


@pytest.fixture
async def staff(split: RunningShop, client: httpx2.AsyncClient) -> Person:
    return await logged_in(client, "staff@ordermill.example", split.secret("demo.staff"))


async def test_every_service_has_processes_of_its_own_and_so_has_the_provider(split: RunningShop):
    # when
    processes = await split.processes()

    # then
    assert {*processes, *split.servers} == {"postgres", "rabbitmq", "mailbox", *OURS}
    assert len({process["pid"] for process in processes.values()}) == len(processes)
    assert {process["status"] for process in processes.values()} == {"ready"}


async def test_an_order_is_confirmed_charged_once_and_told(
    split: RunningShop, customer: Person, staff: Person, sku: str
):
    # when
    order = await customer.ordered(sku, quantity=2, wait=10)

    # then
    assert (order["status"], order["payment_status"]) == ("confirmed", "paid")
    await confirmed_once(split, customer, [order], sku)
    assert await staff.stock_of(sku) == (10, 2)


async def test_a_lost_answer_over_http_is_looked_up_and_charged_once(split: RunningShop, customer: Person, sku: str):
    # when
    order = await customer.ordered(sku, token="tok_timeout")

    # then
    await customer.reaches(order, status="confirmed")
    assert await split.charged(uuid_of(order)) == [1000]


async def test_who_goes_past_the_gateway_comes_from_where_they_are_whatever_they_say(split: RunningShop):
    # given
    attempt = {"email": "nobody@ordermill.example", "password": "not-a-password"}
    claim = {"X-Forwarded-For": "203.0.113.7", "X-Assertion": "a guess"}
    service = next(each["url"] for name, each in (await split.processes()).items() if name == "auth_service.api")

    # when
    for url, address in ((service, "127.0.0.2"), (split.url, "127.0.0.3")):
        transport = httpx2.AsyncHTTPTransport(local_address=address)
        async with httpx2.AsyncClient(transport=transport, base_url=f"{url}/api/v1", headers=claim) as client:
            refused = await client.post("/auth/login", json=attempt, headers={"X-Request-ID": f"from-{address}"})
            assert refused.status_code == 401

    # then
    async def told() -> list[str]:
        lines = (split.home / "log/auth_service.api.log").read_text().splitlines()
        return [line for line in lines if "from-127.0.0." in line and "address" in line]

    await eventually(lambda: _are(told, 2))
    for line, address in zip(await told(), ("127.0.0.2", "127.0.0.3"), strict=True):
        assert f"from-{address}" in line
        assert re.search(rf"address\W+{re.escape(address)}\b", line)
        assert "203.0.113.7" not in line


async def _are(told: Callable[[], Awaitable[list[str]]], many: int) -> bool:
    return len(await told()) == many


async def test_the_providers_webhooks_come_over_http_signed_and_are_stored_once(
    split: RunningShop, customer: Person, sku: str
):
    # given
    order = await customer.ordered(sku, token="tok_duplicate_webhook", wait=10)
    event = "SELECT event_id, status FROM payment_service.webhook_events WHERE order_id = $1"

    async def is_told() -> bool:
        notices = "SELECT told FROM provider.notices WHERE body->'data'->>'order_id' = $1"
        told = [row["told"] for row in await split.rows(notices, str(uuid_of(order)))]
        stored = [row["status"] for row in await split.rows(event, uuid_of(order))]
        return told == [3] and stored == ["applied"]

    # then
    await eventually(is_told)
    assert (await customer.seen(order))["status"] == "confirmed"

    # and
    forged = await customer.client.post("/payments/webhooks/simulated", json={"type": "charge.captured", "data": {}})
    assert 400 <= forged.status_code < 500
    assert forged.headers["Content-Type"] == "application/problem+json"


async def test_cancelling_gives_stock_and_money_back(split: RunningShop, customer: Person, staff: Person, sku: str):
    # given
    order = await customer.ordered(sku, quantity=2, wait=10)

    # when
    await customer.cancel(order)

    # then
    await customer.reaches(order, status="cancelled", payment_status="refunded")
    assert await split.net(uuid_of(order)) == 0
    assert await staff.stock_of(sku) == (10, 0)


async def test_whichever_process_is_killed_is_back_and_no_order_is_lost_or_doubled(
    split: RunningShop, customer: Person, staff: Person
):
    # given
    sku = await a_product(staff, stock=100)
    client = Insistent(customer)
    orders = []

    # when
    for name in OURS:
        killed = await split.kill(name)
        orders += await client.orders(4, sku)
        await split.back(name, killed, within=BACK_WITHIN)

    # then
    await confirmed_once(split, customer, orders, sku)
    assert await staff.stock_of(sku) == (100, len(orders))


async def test_every_error_is_told_as_problem_details(split: RunningShop, customer: Person, staff: Person, sku: str):
    # given
    order, json = an_order_for(sku), {"Content-Type": "application/json"}
    asked = [
        customer.client.get("/nowhere"),
        customer.client.put("/orders", json={}),
        customer.client.get("/orders"),
        customer.client.get("/orders", headers={"Authorization": "Bearer x"}),
        customer.client.get("/tasks", headers=customer.authorized),
        customer.client.get("/products/NO-SUCH"),
        customer.post("/orders", order),
        customer.client.post("/orders", content=b"{", headers={**customer.authorized, **json, "Idempotency-Key": "k"}),
        customer.order({**order, "price": 1}),
        customer.order(an_order_for("NO-SUCH")),
        customer.client.post("/orders", content=b"x" * 70_000, headers={**customer.authorized, **json}),
        customer.client.post("/orders", content=b"{}", headers={**customer.authorized, "Idempotency-Key": "k"}),
        staff.post("/payments/webhooks/unknown", {}),
    ]

    # when
    answers = await asyncio.gather(*asked)

    # then
    assert [(answer.status_code, answer.json()["code"]) for answer in answers[:12]] == [
        (404, "route_not_found"),
        (405, "method_not_allowed"),
        (401, "token_missing"),
        (401, "token_invalid"),
        (403, "forbidden"),
        (404, "not_found"),
        (400, "idempotency_key_missing"),
        (400, "malformed_json"),
        (422, "unknown_field"),
        (422, "sku_unknown"),
        (413, "body_too_large"),
        (415, "unsupported_media_type"),
    ]
    for answer in answers:
        told = answer.json()
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert told["status"] == answer.status_code
        assert told["request_id"] == answer.headers["X-Request-ID"]
        assert told["type"] == f"/docs/errors/{told['code']}"


async def test_internal_routes_and_metrics_are_behind_the_door(split: RunningShop, client: httpx2.AsyncClient):
    # when
    answers = [
        await client.get(f"{split.url}{path}")
        for path in ("/internal/availability", "/metrics", "/api/v1/../internal/x")
    ]

    # then
    assert [answer.status_code for answer in answers] == [404, 404, 404]


async def test_the_merged_document_is_the_same_in_both_layouts(
    split: RunningShop, packed: RunningShop, client: httpx2.AsyncClient
):
    # when
    documents = [(await client.get(f"{shop.url}/openapi.json")).json() for shop in (split, packed)]

    # then
    assert documents[0] == documents[1]
    assert documents[0]["openapi"].startswith("3.1")
    operations = [operation["operationId"] for path in documents[0]["paths"].values() for operation in path.values()]
    assert {"registerUser", "createOrder", "adjustStock", "createPayment", "listNotifications"} <= set(operations)
    assert len(set(operations)) == len(operations)


async def test_the_docs_page_asks_nobody_outside(split: RunningShop, client: httpx2.AsyncClient):
    # when
    page = await client.get(f"{split.url}/docs")

    # then
    assert page.status_code == 200
    assert not EXTERNAL.search(page.content)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "http" not in page.headers["Content-Security-Policy"]
    linked = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    answers = [await client.get(f"{split.url}{path}") for path in linked]
    assert [answer.status_code for answer in answers] == [200] * len(linked)
    assert len(linked) >= 3


async def test_a_key_opens_the_door_of_services_in_other_processes(customer: Person, sku: str):
    # given
    made = await customer.post("/auth/api-keys", {"name": "till", "scopes": ["orders:write"]})
    program = Person(customer.client, customer.email, made.raise_for_status().json()["api_key"])

    # when
    order = await program.ordered(sku)

    # then
    assert (await customer.seen(order))["id"] == order["id"]
    assert [kept["id"] for kept in (await customer.get("/auth/me/export"))["orders"]] == [order["id"]]
