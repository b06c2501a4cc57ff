"""The gateway as its settings describe it: packed, split, and what is between."""

import json
from datetime import timedelta

import pytest
from loguru import logger

from gateway.main import NowhereToGo, app
from gateway.routing import TABLE
from gateway.settings import Settings
from tests.support.gateway import a_client, a_service, served


def test_the_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("ORDERMILL_PEERS", json.dumps({"order_service": "http://order"}))
    monkeypatch.setenv("ORDERMILL_GATEWAY_ANSWER_WITHIN", "PT40S")

    settings = Settings()

    assert settings.peers == {"order_service": "http://order"}
    assert settings.answer_within == timedelta(seconds=40)
    assert settings.routes == TABLE


async def test_a_hosted_service_answers_in_process_even_when_it_has_an_address():
    settings = Settings(peers={"order_service": "http://127.0.0.1:1"})

    async with a_client(app({"order_service": a_service()}, settings=settings)) as client:
        answer = await client.get("/api/v1/orders")

    assert answer.json()["service"] == "order_service"


async def test_the_others_answer_over_http():
    table = {"/api/v1/orders": "order_service", "/api/v1/payments": "payment_service"}
    async with served(a_service("payment_service", "payments")) as url:
        settings = Settings(peers={"payment_service": url}, routes=table)
        door = app({"order_service": a_service()}, settings=settings)
        async with served(door) as address, a_client(door) as client:
            order = await client.get("/api/v1/orders")
            payment = await client.get("/api/v1/payments")
            ready = await client.get(f"{address}/readyz")
            document = await client.get("/openapi.json")

    assert [order.json()["service"], payment.json()["service"]] == ["order_service", "payment_service"]
    assert ready.status_code == 200
    assert document.json()["paths"].keys() == {"/api/v1/orders", "/api/v1/payments"}


def test_a_gateway_that_has_no_key_at_a_service_says_at_which():
    said = []
    sink = logger.add(said.append, format="{message}")

    settings = Settings(
        peers={"order_service": "http://127.0.0.1:1", "payment_service": "http://127.0.0.1:1"},
        peer_keys={"order_service": "key"},
    )
    app({"auth_service": a_service("auth_service")}, settings=settings)
    logger.remove(sink)

    assert said == ["no key at payment_service in ORDERMILL_GATEWAY_PEER_KEYS: it is sent access tokens\n"]


def test_a_gateway_that_knows_no_address_says_which():
    with pytest.raises(
        NowhereToGo, match=r"^No address of auth_service, inventory_service, notification_service in OR"
    ):
        app(
            {},
            settings=Settings(peers={"order_service": "http://127.0.0.1:1", "payment_service": "http://127.0.0.1:1"}),
        )
