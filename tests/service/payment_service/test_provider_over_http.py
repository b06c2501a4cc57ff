"""The simulated provider as a process of its own, behind HTTP, and its webhooks."""

import asyncio
import socket
from contextlib import asynccontextmanager

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette

from chassis.api import api
from chassis.ids import new_id
from payment_service import bearer, charging, providers, simulator
from payment_service.simulator_books import Charge
from tests.service.payment_service.conftest import at_work, comes_to


@asynccontextmanager
async def served(app, port, lifespan):
    server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan=lifespan, log_config=None))
    server.install_signal_handlers = lambda: None
    serving = asyncio.create_task(server.serve())

    async def started():
        return server.started

    await comes_to(started, True)
    yield
    server.should_exit = True
    await serving


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture
async def apart(settings):
    """payment_service with its provider elsewhere; both reach each other over real sockets."""
    ports = free_port(), free_port()
    changes = {
        "provider_url": f"http://127.0.0.1:{ports[0]}",
        "webhook_url": f"http://127.0.0.1:{ports[1]}/api/v1/payments/webhooks/simulated",
        "simulator_tells": "all",
    }
    settings = settings.model_copy(update=changes)
    async with (
        at_work(settings) as payments,
        served(api(payments.parts), ports[1], "off"),
        served(simulator.app(settings), ports[0], "on"),
    ):
        yield payments


@pytest.mark.parametrize("token", ["tok_ok", "tok_processing_error", "tok_timeout", "tok_timeout_unpaid"])
async def test_a_card_is_charged_once_over_http_however_the_provider_conducts_itself(apart, token):
    order_id = await apart.asked(token)

    await apart.reaches(order_id, "captured")

    assert (await apart.net(order_id), await apart.charges(order_id)) == (2598, 1)
    assert await apart.told(order_id) == ["payment.succeeded"]


async def test_who_asks_with_a_wrong_key_learns_nothing_and_the_call_stays_in_doubt(apart):
    apart.parts.own.provider._client.headers["Authorization"] = "Bearer an old one"
    order_id = await apart.asked("tok_ok")

    await apart.reaches(order_id, "unknown")

    assert await apart.charges(order_id) == 0
    apart.parts.own.provider._client.headers["Authorization"] = "Bearer shown to the provider"
    await apart.reaches(order_id, "captured")


async def test_everything_that_happens_is_told_and_applied_once(apart):
    order_id = await apart.asked("tok_duplicate_webhook")
    await apart.reaches(order_id, "captured")
    await apart.give_back(order_id)
    await apart.reaches(order_id, "reversed")

    async def notices():
        return await apart.booked("SELECT body->>'type', told FROM provider.notices ORDER BY 1")

    async def stored():
        return await apart.rows("SELECT type, status FROM payment_service.webhook_events ORDER BY 1")

    await comes_to(notices, [("charge.captured", 3), ("refund.succeeded", 1)])
    await comes_to(stored, [("charge.captured", "applied"), ("refund.succeeded", "applied")])
    assert await apart.net(order_id) == 0
    assert await apart.told(order_id) == ["payment.succeeded", "payment.cancelled"]


async def test_a_refund_in_doubt_is_looked_up_over_http(apart):
    order_id = await apart.asked("tok_ok")
    await apart.reaches(order_id, "captured")
    [key] = [key for (key,) in await apart.rows("SELECT key FROM payment_service.payment_attempts")]

    async def found(asking):
        return {it.key: it.answer and it.answer.outcome.value async for said in asking for it in said}

    provider = apart.parts.own.provider
    await comes_to(lambda: found(provider.find_refund(["ref:never"])), {"ref:never": None})
    await comes_to(lambda: found(provider.find([key, "pay:never:1"])), {key: "done", "pay:never:1": None})


async def test_a_webhook_that_is_not_taken_is_told_again(settings):
    async with at_work(settings, loops=False) as payments:
        simulated = payments.parts.own.provider.simulator
        await payments.asked("tok_duplicate_webhook")
        await _settled(payments)
        answers = iter([500, 200, 200])

        async def post(_body, _signed):
            return next(answers)

        assert await simulated.tell(post) is True
        assert await payments.booked("SELECT told FROM provider.notices") == [(2,)]
        assert await simulated.tell(post) is False


async def _settled(payments):
    await charging.step(payments.parts)

    async def count():
        return await payments.booked("SELECT times FROM provider.notices")

    await comes_to(count, [(3,)])


WRONG = [
    ("POST", "/charges", {"amount": -1}),
    ("POST", "/charges", {"amount": 2**63}),
    ("POST", "/charges", {"amount": 2**200}),
    ("POST", "/charges", {"currency": "EUR\0"}),
    ("POST", "/charges", {"token": "tok\0"}),
    ("POST", "/refunds", {"amount": 0}),
    ("POST", "/refunds", {"amount": -1}),
    ("POST", "/refunds", {"amount": 2**63}),
    ("POST", "/refunds", {"charge_key": "\0"}),
    ("GET", "/charges/%00", {}),
    ("GET", "/refunds/a%00", {}),
]


async def test_the_provider_says_what_is_wrong_with_a_call_and_books_nothing(settings):
    right = {"order_id": str(new_id()), "token": "tok_ok", "amount": 1, "currency": "EUR", "charge_key": "k"}
    app = simulator.app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app=app)
        shown = {"Idempotency-Key": "k", **bearer.headers(settings.provider_key)}
        async with httpx2.AsyncClient(transport=transport, base_url="http://provider", headers=shown) as http:
            answers = [await http.request(method, path, json=right | wrong) for method, path, wrong in WRONG]
            keyed = await http.post("/charges", json=right, headers={"Idempotency-Key": "k" * 3000})
            assert (await http.get("/charges/k")).status_code == 404

    assert {answer.status_code for answer in (*answers, keyed)} == {422}
    assert all(answer.json()["detail"][0]["msg"] for answer in answers)


async def test_the_providers_process_says_whether_it_is_ready(settings):
    for database, status in ((settings.provider_database_url, 200), ("postgresql://u:p@127.0.0.1:1/x", 503)):
        app = simulator.app(settings.__class__(**{**settings.model_dump(), "provider_database_url": database}))
        async with app.router.lifespan_context(app):
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://provider") as http:
                assert (await http.get("/livez")).status_code == 200
                assert (await http.get("/readyz")).status_code == status


@pytest.mark.parametrize("token", ["tok_ok", "tok_slow", "tok_timeout"])
async def test_a_key_is_honoured_whatever_was_asked_before(settings, token):
    async with at_work(settings, loops=False) as payments:
        simulated = payments.parts.own.provider.simulator
        charge = Charge(key="pay:x:1", order_id=new_id(), token=token, amount=100, currency="EUR")

        for _ in range(2):
            [work] = simulated.charge([charge])
            await work.replies

        assert await payments.booked("SELECT key, amount FROM provider.charges") == [("pay:x:1", 100)]


async def test_a_provider_that_does_not_know_the_way_has_said_nothing(settings):
    lost = settings.model_copy(update={"provider_url": "http://127.0.0.1:1"})
    async with at_work(lost, loops=False) as payments:
        port = free_port()
        async with served(Starlette(), port, "off"):
            payments.parts.own.provider._client.base_url = f"http://127.0.0.1:{port}"
            order_id = await payments.asked("tok_ok")

            await charging.step(payments.parts)

            assert (await payments.reaches(order_id, "unknown"))["attempts"][0]["tries"] == 1


async def test_where_nobody_says_where_a_provider_is_nothing_starts(settings):
    nowhere = settings.model_copy(update={"provider_url": None, "provider_database_url": None})

    with pytest.raises(ValueError, match="set ORDERMILL_PROVIDER_URL, or"):
        async with providers.opened(nowhere):
            pass
