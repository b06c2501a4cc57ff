"""What a user gets of what is kept of them: all of it, and nothing of anybody else."""

import json
import math
import time
from contextlib import ExitStack
from types import SimpleNamespace

import httpx2
import pytest
from jose import jwt

from auth_service import exporting
from auth_service.exporting import ExportUnavailable, gathered, written
from auth_service.throttling import site
from chassis.http import edge_of
from chassis.ids import new_id, parse_typeid, typeid
from chassis.neighbours import PAGE, WITHIN, Bounded

SHOWN_BY = {
    "orders": "order_service",
    "payments": "payment_service",
    "notifications": "notification_service",
    "notification-preferences": "notification_service",
}


class Neighbours:
    """The other services, which show three pages of orders and one of everything else."""

    def __init__(self):
        self.tokens = {}
        self.pages = []
        self.away = False
        self.last = 3

    async def __call__(self, request):
        self.tokens.setdefault(request.headers["authorization"].removeprefix("Bearer "), set()).add(request.url.host)
        if self.away:
            return httpx2.Response(503, json={"code": "unavailable"})
        noun = request.url.path.rpartition("/")[2]
        assert request.url.host == SHOWN_BY[noun]
        if noun == "notification-preferences":
            return httpx2.Response(200, json={"opted_out": []})
        self.pages.append(noun)
        page = int(request.url.params.get("cursor", "1"))
        more = noun == "orders" and page < self.last
        told = {"data": [{"id": f"{noun} {page}"}], "has_more": more, "next_cursor": str(page + 1) if more else None}
        return httpx2.Response(200, json=told)


@pytest.fixture
def neighbours(shop):
    told = Neighbours()
    for name in ("order_service", "payment_service", "notification_service"):
        transport = httpx2.MockTransport(told)
        shop.parts.peers[name] = httpx2.AsyncClient(transport=transport, base_url=f"http://{name}")
    return told


async def test_a_user_gets_everything_that_is_kept_of_them(shop, neighbours):
    ann = await shop.customer()
    key = {"name": "till", "scopes": ["orders:read"]}
    await shop.http.post("/api/v1/auth/api-keys", json=key, headers=ann.headers)

    answer = await shop.http.get("/api/v1/auth/me/export", headers=ann.headers)

    told = answer.json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert told["user"] == ann.user
    assert [session["current"] for session in told["sessions"]] == [True]
    assert told["sessions"] == (await shop.http.get("/api/v1/auth/sessions", headers=ann.headers)).json()["data"]
    assert [key["name"] for key in told["api_keys"]] == ["till"]
    assert [order["id"] for order in told["orders"]] == ["orders 1", "orders 2", "orders 3"]
    assert (told["payments"], told["notifications"]) == ([{"id": "payments 1"}], [{"id": "notifications 1"}])
    assert told["notification_preferences"] == {"opted_out": []}
    assert "$argon2id" not in answer.text


async def test_of_very_many_sessions_an_export_tells_all(shop, neighbours):
    ann = await shop.customer()
    await shop.sql(
        "INSERT INTO auth_service.sessions SELECT (jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid(),"
        " 'created_at', s.created_at - n % 7 * interval '1 minute'))).*"
        " FROM auth_service.sessions s, generate_series(1, 10500) n"
    )

    answer = await shop.http.get("/api/v1/auth/me/export", headers=ann.headers)

    told = answer.json()["sessions"]
    assert len({session["id"] for session in told}) == len(told) == 10_501
    assert sum(session["current"] for session in told) == 1


async def test_each_of_the_others_is_asked_as_that_customer_who_may_only_read_there(shop, neighbours):
    admin, ann = await shop.admin(), await shop.customer()

    answer = await shop.http.get(f"/api/v1/users/{ann.user['id']}/export", headers=admin.headers)

    assert answer.json()["user"] == ann.user
    assert [session["current"] for session in answer.json()["sessions"]] == [False]
    [published] = (await shop.http.get("/.well-known/jwks.json")).json()["keys"]
    shown = {}
    for token, services in neighbours.tokens.items():
        claims = jwt.decode(token, published, algorithms=["ES256"], audience="ordermill")
        assert (claims["sub"], claims["role"]) == (ann.user["id"], "customer")
        assert claims["exp"] - time.time() <= 600
        shown[claims["scope"]] = services
    assert shown == {
        "orders:read": {"order_service"},
        "payments:read": {"payment_service"},
        "notifications:read": {"notification_service"},
    }


async def test_an_export_that_is_not_whole_is_none(shop, neighbours):
    ann = await shop.customer()
    neighbours.away = True

    answer = await shop.http.get("/api/v1/auth/me/export", headers=ann.headers)

    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "unavailable", "1")


async def test_an_export_is_told_page_by_page_and_nothing_is_asked_for_ahead(shop, neighbours):
    ann = await shop.customer()

    told = await gathered(shop.parts, parse_typeid("usr", ann.user["id"]))
    pieces = written(b'{"a":1}', told.lists)
    assert [await anext(pieces) for _ in range(3)] == [b'{"a":1', b',"orders":[', b'{"id":"orders 1"}']

    assert neighbours.pages == ["orders", "payments", "notifications"]
    assert [await anext(pieces) for _ in range(2)] == [b',{"id":"orders 2"}', b',{"id":"orders 3"}']
    assert neighbours.pages[3:] == ["orders", "orders"]


async def test_an_export_that_fails_half_way_has_no_end(shop, neighbours):
    ann = await shop.customer()
    told = await gathered(shop.parts, parse_typeid("usr", ann.user["id"]))
    pieces = written(b"{}", told.lists)
    assert [await anext(pieces) for _ in range(3)] == [b"{", b',"orders":[', b'{"id":"orders 1"}']

    neighbours.away = True

    with pytest.raises(ExportUnavailable):
        await anext(pieces)
    with pytest.raises(StopAsyncIteration):
        await anext(pieces)


async def test_who_always_has_a_page_more_is_asked_for_as_long_as_the_token_is_good(shop, neighbours, monkeypatch):
    ann, now = await shop.customer(), time.time()
    monkeypatch.setattr(exporting, "time", SimpleNamespace(time=lambda: now))
    neighbours.last = math.inf
    told = await gathered(shop.parts, parse_typeid("usr", ann.user["id"]))

    now += 599
    await anext(told.lists["orders"])
    assert await anext(told.lists["orders"]) == b'{"id":"orders 2"}'
    now += 1

    with pytest.raises(ExportUnavailable):
        await anext(told.lists["orders"])
    assert neighbours.pages.count("orders") == 2


async def test_a_page_that_does_not_end_is_none(shop, neighbours):
    ann = await shop.customer()

    async def endless():
        while True:
            yield b" " * 65_536

    told = httpx2.MockTransport(lambda _request: httpx2.Response(200, content=endless()))
    shop.parts.peers["order_service"] = httpx2.AsyncClient(transport=Bounded(told, PAGE, WITHIN), base_url="http://x")

    with pytest.raises(ExportUnavailable):
        await gathered(shop.parts, parse_typeid("usr", ann.user["id"]))


async def test_a_list_without_items_is_an_empty_one(shop):
    async def pages(*items):
        for each in items:
            yield each

    whole = [piece async for piece in written(b'{"a":1}', {"x": pages(b""), "y": pages(b"", b"1", b"", b"2")})]

    assert json.loads(b"".join(whole)) == {"a": 1, "x": [], "y": [1, 2]}


async def test_of_one_user_one_export_is_told_at_once_and_of_all_a_few(shop, neighbours):
    ann, bob = await shop.customer(), await shop.customer("bob@shop.test")
    path, exports = "/api/v1/auth/me/export", shop.parts.own.exports

    with exports.looking_on_as(parse_typeid("usr", ann.user["id"]), "elsewhere"):
        refused = await shop.http.get(path, headers=ann.headers)
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert (await shop.http.get(path, headers=bob.headers)).status_code == 200
        exports.waiting = 1
        assert (await shop.http.get(path, headers=bob.headers)).status_code == 503

    assert (await shop.http.get(path, headers=ann.headers)).status_code == 200
    assert exports.onlookers == 0


async def test_many_users_of_one_place_leave_exports_to_others(shop, neighbours):
    ann, path, exports = await shop.customer(), "/api/v1/auth/me/export", shop.parts.own.exports
    here = site(edge_of({"client": ("127.0.0.1", 123)}, shop.parts))

    with ExitStack() as told:
        for user in range(4):
            told.enter_context(exports.looking_on_as(user, here))
        refused = await shop.http.get(path, headers=ann.headers)
        elsewhere = httpx2.ASGITransport(shop.edge, client=("203.0.113.7", 5))
        async with httpx2.AsyncClient(transport=elsewhere, base_url=shop.http.base_url) as http:
            answered = await http.get(path, headers=ann.headers)

    assert (refused.status_code, refused.json()["code"], answered.status_code) == (503, "unavailable", 200)


async def test_nobody_gets_what_is_kept_of_somebody_else(shop, neighbours):
    ann, bob, admin = await shop.customer(), await shop.customer("bob@shop.test"), await shop.admin()
    path = f"/api/v1/users/{bob.user['id']}/export"

    assert (await shop.http.get(path, headers=ann.headers)).status_code == 403
    assert (await shop.http.get(path)).status_code == 401
    nobody = await shop.http.get(f"/api/v1/users/{typeid('usr', new_id())}/export", headers=admin.headers)
    assert nobody.status_code == 404
    assert neighbours.tokens == {}
