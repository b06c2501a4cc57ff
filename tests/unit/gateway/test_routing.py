"""Which service a path belongs to, and which paths nobody outside reaches."""

import pytest

from gateway.routing import TABLE, Routes

ROUTES = Routes(TABLE)


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/.well-known/jwks.json", "auth_service"),
        ("/api/v1/auth/login", "auth_service"),
        ("/api/v1/users", "auth_service"),
        ("/api/v1/quotes", "order_service"),
        ("/api/v1/orders/ord_1/payments", "order_service"),
        ("/api/v1/products/MUG-RED", "inventory_service"),
        ("/api/v1/stock", "inventory_service"),
        ("/api/v1/reservations", "inventory_service"),
        ("/api/v1/tasks/tsk_1", "inventory_service"),
        ("/api/v1/shipments/shp_1/delivery", "inventory_service"),
        ("/api/v1/returns", "inventory_service"),
        ("/api/v1/payments/webhooks/simulated", "payment_service"),
        ("/api/v1/notifications", "notification_service"),
        ("/api/v1/notification-preferences", "notification_service"),
        ("/api/v1/event-types", "notification_service"),
        ("/api/v1/webhook-endpoints/whe_1/test", "notification_service"),
        ("/api/v1/webhook-deliveries/whd_1/redeliver", "notification_service"),
    ],
)
def test_a_path_belongs_to_the_service_of_its_noun(path, service):
    assert ROUTES.find(path) == service


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/api",
        "/api/v1",
        "/api/v1/ordersx",
        "/api/v2/orders",
        "/internal/contacts",
        "/api/v1/internal/contacts",
        "/metrics",
        "/readyz",
        "/api/v1/orders/../../../internal/contacts",
        "/api/v1/orders/..",
        "/api/v1/orders/./x",
    ],
)
def test_every_other_path_is_nobodys(path):
    assert ROUTES.find(path) is None


def test_a_segment_may_begin_with_dots():
    assert ROUTES.find("/api/v1/orders/..x") == "order_service"


def test_the_longest_prefix_wins():
    routes = Routes({"/a": "one", "/a/b": "two"})
    assert [routes.find("/a/x"), routes.find("/a/b/c")] == ["one", "two"]


def test_the_services_of_a_table_are_named_once():
    assert Routes({"/a": "one", "/b": "two", "/c": "one"}).services == ["one", "two"]


def test_of_a_path_without_end_only_so_many_segments_are_looked_at_as_prefixes_have():
    routes = Routes({"/a/b": "deep"})

    assert [routes.find("/a/b" + "/" * 30_000), routes.find("/" * 30_000), Routes({}).find("/a")] == [
        "deep",
        None,
        None,
    ]
