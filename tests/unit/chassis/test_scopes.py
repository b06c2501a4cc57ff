"""Which scope a route asks of an API key: every route has one, or is named here as none for keys."""

import pytest

from chassis.api import PREFIX, api
from chassis.app import parts_of
from chassis.ids import new_id
from chassis.openapi import operations
from chassis.scopes import Scope, needed
from chassis.tokens import Caller, Role
from ordermill.services import SERVICES, load

_SECRETS = {"database_url": "postgresql://nowhere/none", "broker_url": "amqp://nowhere", "edge_key": "token"}
_OTHERS = {
    "webhook_secret": "secret",
    "provider_key": "key",
    "provider_database_url": "postgresql://nowhere/none",
}


def secured():
    for name in SERVICES:
        service = load(name)
        given = _SECRETS | (_OTHERS if name == "payment_service" else {})
        document = api(parts_of(service, service.settings(**given), {})).openapi()
        for path, method, operation in operations(document):
            if operation.get("security"):
                yield path, method.upper(), operation["operationId"]


def test_every_route_with_a_token_asks_for_a_scope_but_those_about_accounts():
    without = {(path, method) for path, method, _ in secured() if needed(path, method) is None}

    assert {path.split("/")[3] for path, _ in without} == {"auth", "users"}


def test_every_route_that_a_key_may_use_is_asked_for_by_noun_and_verb():
    asked = {name: needed(path, method) for path, method, name in secured() if needed(path, method)}

    assert asked["createOrder"] == "orders:write"
    assert asked["listOrders"] == asked["streamOrder"] == asked["listOrderEvents"] == "orders:read"
    assert asked["payOrder"] == asked["refundOrder"] == asked["createPayment"] == "payments:write"
    assert asked["listPayments"] == asked["listRefunds"] == "payments:read"
    assert asked["adjustStock"] == "stock:write"
    assert asked["listMovements"] == asked["listReservations"] == "stock:read"
    assert asked["archiveProduct"] == "products:write"
    assert asked["completeTask"] == asked["receiveReturn"] == asked["recordDelivery"] == "tasks:write"
    assert asked["setPreferences"] == "notifications:write"


@pytest.mark.parametrize("path", ["/auth/me", "/users/{user_id}", "/", "/ORDERS", f"{PREFIX}/auth/api-keys"])
def test_what_has_no_noun_is_no_keys(path):
    assert needed(path, "GET") is None


def test_a_session_may_do_everything_and_a_key_only_what_it_was_given():
    session = Caller(new_id(), Role.ADMIN, new_id())
    key = Caller(new_id(), Role.ADMIN, new_id(), frozenset({"orders:read"}))

    assert session.may(None)
    assert session.may(Scope.ORDERS_WRITE)
    assert key.may(Scope.ORDERS_READ)
    assert not key.may(Scope.ORDERS_WRITE)
    assert not key.may(None)
