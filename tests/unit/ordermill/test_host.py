"""What one process is: how its server is told where a request comes from."""

import json

import pytest

from ordermill.host import application
from ordermill.services import SERVICES

SETTINGS = {
    "ORDERMILL_PROFILE": "local",
    "ORDERMILL_EDGE_KEY": "an edge key",
    "ORDERMILL_ORDER_SERVICE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "ORDERMILL_ORDER_SERVICE_BROKER_URL": "amqp://nobody@127.0.0.1:1/",
    "ORDERMILL_PEERS": json.dumps(dict.fromkeys(SERVICES, "http://127.0.0.1:1")),
    "ORDERMILL_TRUSTED_PROXIES": '["127.0.0.1"]',
    "ORDERMILL_CORS_ORIGINS": '["https://shop.example"]',
}


@pytest.mark.parametrize(("hosted", "place"), [("order_service", "past the gateway"), ("gateway", "192.0.2.7")])
def test_a_process_that_others_stand_before_says_where_a_request_comes_from(monkeypatch, hosted, place):
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)

    app = application([hosted], "api")

    assert app.place({"client": ("127.0.0.1", 5), "headers": [(b"x-forwarded-for", b"192.0.2.7")]}) == place
