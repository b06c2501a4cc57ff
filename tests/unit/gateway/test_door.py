"""What every request and every answer carries, and what the gateway answers by itself."""

from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse

from gateway.app import gateway
from tests.support.gateway import a_client, a_service, served

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cache-control": "private, no-cache",
}


def a_gateway(**services):
    return gateway(services or {"order_service": a_service()})


async def test_a_request_gets_its_ids_once_for_the_service_and_for_the_client():
    async with a_client(a_gateway()) as client:
        answer = await client.get("/api/v1/orders?limit=1", headers={"traceparent": "wrong", "tracestate": "a=b"})

    heard = dict(answer.json()["headers"])
    assert answer.json()["query"] == "limit=1"
    assert answer.headers.get_list("x-request-id") == [heard["x-request-id"]]
    assert answer.headers.get_list("traceparent") == [heard["traceparent"]]
    assert heard["x-request-id"].startswith("req_")
    assert "tracestate" not in heard


async def test_the_clients_own_ids_are_kept():
    given = {"X-Request-ID": "mine", "traceparent": TRACE, "tracestate": "a=b"}
    async with a_client(a_gateway()) as client:
        answer = await client.get("/api/v1/orders", headers=given)

    heard = dict(answer.json()["headers"])
    assert [heard["x-request-id"], heard["traceparent"], heard["tracestate"]] == ["mine", TRACE, "a=b"]
    assert [answer.headers["x-request-id"], answer.headers["traceparent"]] == ["mine", TRACE]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/v1/orders", 200), ("/livez", 200), ("/nowhere", 404), ("/api/v1/payments", 503)],
)
async def test_every_answer_has_the_security_headers(path, status):
    async with a_client(a_gateway()) as client:
        answer = await client.get(path)

    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in SECURITY} == SECURITY


async def test_a_service_may_choose_its_own_policy():
    async def page(scope, receive, send):
        response = PlainTextResponse("", headers={"Content-Security-Policy": "default-src 'self'"})
        await response(scope, receive, send)

    async with a_client(a_gateway(order_service=page)) as client:
        answer = await client.get("/api/v1/orders")

    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]


@pytest.mark.parametrize("path", ["/nowhere", "/internal/contacts", "/metrics", "/api/v1/ordersx", "/docs/assets/x.js"])
async def test_an_unknown_route_is_a_problem(path):
    async with a_client(a_gateway()) as client:
        answer = await client.get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "route_not_found"
    assert answer.json()["instance"] == path
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_method_that_the_gateways_own_route_does_not_know_is_a_problem():
    async with a_client(a_gateway()) as client:
        answer = await client.delete("/version")

    assert [answer.status_code, answer.json()["code"]] == [405, "method_not_allowed"]
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_a_body_that_is_too_large_is_a_problem():
    async with a_client(a_gateway()) as client:
        answer = await client.post("/api/v1/orders", json="x" * 70_000)

    assert [answer.status_code, answer.json()["code"]] == [413, "body_too_large"]


async def test_a_service_of_the_table_that_runs_nowhere_is_not_available():
    async with a_client(a_gateway()) as client:
        answer = await client.get("/api/v1/payments")

    assert [answer.status_code, answer.json()["code"]] == [503, "unavailable"]
    assert answer.json()["detail"] == "payment_service does not run here."
    assert answer.headers["retry-after"] == "1"


async def test_a_failure_of_the_gateway_itself_is_a_problem_that_tells_nothing():
    one, other = FastAPI(), FastAPI()
    one.get("/api/v1/orders", operation_id="same")(lambda: 1)
    other.get("/api/v1/payments", operation_id="same")(lambda: 1)

    async with a_client(a_gateway(order_service=one, payment_service=other)) as client:
        answer = await client.get("/openapi.json")

    assert [answer.status_code, answer.json()["code"]] == [500, "internal_error"]
    assert answer.json()["detail"] == "The log has more of it, under this request_id."


async def test_what_lives_as_long_as_the_gateway_is_opened_and_closed_with_it():
    seen = []

    @asynccontextmanager
    async def life():
        seen.append("opened")
        yield
        seen.append("closed")

    async with served(gateway({"order_service": a_service()}, lifespan=life)):
        assert seen == ["opened"]
    assert seen == ["opened", "closed"]
