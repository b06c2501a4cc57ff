"""Which pages of other origins may read answers, and what they may ask."""

from gateway.main import app
from gateway.settings import Settings
from tests.support.gateway import a_client, a_service

SHOP = "https://shop.example"
PREFLIGHT = {"Origin": SHOP, "Access-Control-Request-Method": "POST"}


def a_door(*origins):
    return app({"order_service": a_service()}, settings=Settings(cors_origins=origins))


async def test_nobody_may_unless_the_settings_say_so():
    async with a_client(a_door()) as client:
        asked = await client.options("/api/v1/orders", headers=PREFLIGHT)
        read = await client.get("/api/v1/orders", headers={"Origin": SHOP})

    assert [asked.status_code, read.status_code] == [405, 200]
    assert not [name for answer in (asked, read) for name in answer.headers if name.startswith("access-control-")]


async def test_who_is_named_may_ask_and_read():
    asks = {**PREFLIGHT, "Access-Control-Request-Headers": "authorization, idempotency-key, prefer"}
    async with a_client(a_door(SHOP)) as client:
        asked = await client.options("/api/v1/orders", headers=asks)
        read = await client.get("/api/v1/orders", headers={"Origin": SHOP})

    assert [asked.status_code, asked.headers["access-control-allow-origin"]] == [200, SHOP]
    assert [read.status_code, read.headers["access-control-allow-origin"]] == [200, SHOP]
    assert "ETag" in read.headers["access-control-expose-headers"]
    assert "Origin" in read.headers["vary"]
    assert "access-control-allow-credentials" not in {*asked.headers, *read.headers}


async def test_another_origin_is_refused_and_learns_nothing():
    async with a_client(a_door(SHOP)) as client:
        asked = await client.options("/api/v1/orders", headers={**PREFLIGHT, "Origin": "https://shop.example.evil"})
        read = await client.get("/api/v1/orders", headers={"Origin": "null"})

    assert [asked.status_code, asked.json()["code"]] == [403, "forbidden"]
    assert asked.headers["content-type"] == "application/problem+json"
    assert asked.headers["x-request-id"] == asked.json()["request_id"]
    assert asked.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in {*asked.headers, *read.headers}


async def test_a_header_that_no_route_takes_is_refused():
    async with a_client(a_door(SHOP)) as client:
        asked = await client.options(
            "/api/v1/orders", headers={**PREFLIGHT, "Access-Control-Request-Headers": "x-forwarded-for"}
        )

    assert asked.status_code == 403
