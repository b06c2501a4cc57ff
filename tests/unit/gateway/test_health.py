"""What the gateway tells whoever watches it."""

import asyncio

import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from chassis import remembered
from chassis.health import release
from gateway.app import absent, gateway
from tests.support.gateway import a_client, a_service


def always(response):
    async def app(scope, receive, send):
        await response(scope, receive, send)

    return app


async def broken(_scope, _receive, _send):
    raise OSError


def a_gateway_of(payment):
    return a_client(gateway({"order_service": a_service(), "payment_service": payment}))


async def reasons_of(payment):
    async with a_gateway_of(payment) as client:
        answer = await client.get("/readyz")
    return answer.status_code, answer.json()


async def test_the_process_is_alive_whatever_the_services_are():
    async with a_gateway_of(broken) as client:
        answer = await client.get("/livez")
    assert [answer.status_code, answer.json()] == [200, {"status": "alive"}]


async def test_the_gateway_is_ready_when_every_service_is():
    assert await reasons_of(a_service("payment_service", "payments")) == (200, {"ready": True, "reasons": {}})


async def test_a_service_that_is_not_ready_gives_its_own_reasons():
    payment = always(JSONResponse({"ready": False, "reasons": {"database": "OSError", "schema": "old"}}, 503))
    assert await reasons_of(payment) == (
        503,
        {"ready": False, "reasons": {"payment_service": "database: OSError; schema: old"}},
    )


async def test_a_service_that_cannot_be_reached_is_the_reason():
    assert await reasons_of(absent("payment_service")) == (
        503,
        {"ready": False, "reasons": {"payment_service": "payment_service does not run here."}},
    )


async def test_a_service_that_answers_anything_else_is_the_reason():
    assert await reasons_of(always(JSONResponse({}, 500))) == (
        503,
        {"ready": False, "reasons": {"payment_service": "answers 500"}},
    )


async def test_a_service_that_does_not_answer_is_the_reason():
    assert await reasons_of(broken) == (
        503,
        {"ready": False, "reasons": {"payment_service": "does not answer"}},
    )


async def test_health_gathers_what_the_services_say():
    async with a_gateway_of(a_service("payment_service", "payments")) as client:
        answer = await client.get("/health")

    assert answer.json() == {
        "status": "ok",
        "service": "gateway",
        "version": release(),
        "services": {
            "order_service": {"status": "ok", "service": "order_service", "version": "1"},
            "payment_service": {"status": "ok", "service": "payment_service", "version": "1"},
        },
    }


async def test_health_is_degraded_when_one_service_is_missing_or_talks_nonsense():
    async def told_with(payment):
        async with a_gateway_of(payment) as client:
            answer = await client.get("/health")
        return answer.json()["status"], answer.json()["services"]["payment_service"]

    assert await told_with(absent("payment_service")) == (
        "degraded",
        {"status": "unavailable", "reason": "payment_service does not run here."},
    )
    assert await told_with(always(JSONResponse({}))) == (
        "degraded",
        {"status": "unavailable", "reason": "answers wrongly"},
    )
    assert await told_with(always(PlainTextResponse("fine"))) == (
        "degraded",
        {"status": "unavailable", "reason": "does not answer"},
    )


@pytest.mark.parametrize("path", ["/readyz", "/health"])
async def test_however_often_it_is_asked_the_services_are_asked_twice_a_second(path, monkeypatch):
    async def counted(scope, receive, send):
        asked.append(scope["path"])
        await JSONResponse({"status": "ok"})(scope, receive, send)

    asked, clock = [], [0.0]
    monkeypatch.setattr(remembered.time, "monotonic", lambda: clock[0])
    async with a_gateway_of(counted) as client:
        await asyncio.gather(*(client.get(path) for _ in range(20)))
        clock[0] = remembered.FRESH_FOR
        await client.get(path)

    assert asked == [path, path]


async def test_the_gateway_tells_its_version_and_keeps_its_metrics():
    async with a_gateway_of(broken) as client:
        version, metrics = await client.get("/version"), await client.get("/metrics")
    assert version.json() == {"service": "gateway", "version": release()}
    assert metrics.status_code == 404
