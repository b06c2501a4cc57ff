"""Forwarding over real sockets: what passes, what does not, and what the client hears when the service fails."""

import asyncio
import contextlib
from datetime import timedelta
from uuid import NAMESPACE_OID, uuid5

import httpx2
import pytest
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse

from chassis.admission import Admission
from chassis.ids import new_id
from chassis.tokens import Caller, Role
from gateway import proxy as gateway_proxy
from gateway.guard import Guard
from gateway.limits import Quota
from gateway.proxy import Proxy
from tests.support.eventually import eventually
from tests.support.gateway import a_door_to, a_service, served, talking

NOBODY = "http://127.0.0.1:1"


async def test_a_request_passes_with_path_query_body_and_headers():
    async with served(a_service()) as url, a_door_to(url) as client:
        asked = await client.get("/api/v1/orders?a=%2F&b=1", headers={"Accept-Language": "de"})
        measured = await client.post("/api/v1/orders", json={"a": 1})

    assert asked.json()["query"] == "a=%2F&b=1"
    assert dict(asked.json()["headers"])["accept-language"] == "de"
    assert measured.json() == 7


async def test_the_service_hears_the_clients_host_and_address_from_us_alone():
    claims = {"Host": "shop.example", "X-Forwarded-Host": "evil.example", "Forwarded": "for=6.6.6.6"}
    async with served(a_service()) as url, a_door_to(url) as client:
        answer = await client.get("/api/v1/orders", headers=claims)

    heard = dict(answer.json()["headers"])
    assert [heard["host"], heard["x-forwarded-for"], heard["x-forwarded-proto"]] == [
        "shop.example",
        "127.0.0.1",
        "http",
    ]
    assert heard.keys().isdisjoint({"x-forwarded-host", "forwarded"})


async def test_what_belongs_to_one_connection_stays_there():
    async def answer(reader, writer):
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(
            b"HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-End: 1\r\n"
        )
        writer.write(b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok")

    heard = []
    async with talking(answer) as url, a_door_to(url) as client:
        given = {"Connection": "X-Secret", "X-Secret": "1", "TE": "trailers", "X-End": "1"}
        first = await client.get("/api/v1/orders", headers=given)
        client.cookies.clear()
        await client.get("/api/v1/orders")

    assert b"x-secret" not in heard[0].lower()
    assert b"\nte:" not in heard[0].lower()
    assert b"x-end: 1" in heard[0].lower()
    assert first.headers.keys().isdisjoint({"x-hop", "keep-alive"})
    assert [first.headers["x-end"], first.text] == ["1", "ok"]
    assert first.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert b"cookie" not in heard[1].lower()


async def test_a_stream_passes_piece_by_piece():
    told = asyncio.Event()

    async def events():
        yield "data: 1\n\n"
        await told.wait()
        yield "data: 2\n\n"

    app = FastAPI()
    app.get("/api/v1/orders")(lambda: StreamingResponse(events(), media_type="text/event-stream"))
    async with served(app) as url, a_door_to(url) as client, client.stream("GET", "/api/v1/orders") as answer:
        pieces = answer.aiter_text()
        first = await anext(pieces)
        told.set()
        rest = [piece async for piece in pieces]

    assert [first, *rest] == ["data: 1\n\n", "data: 2\n\n"]
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


async def test_a_body_passes_piece_by_piece():
    heard, more = [], asyncio.Event()
    app = FastAPI()

    @app.post("/api/v1/orders")
    async def hear(request: Request):
        stream = request.stream()
        heard.append(await anext(stream))
        heard.extend([piece async for piece in stream])
        return len(heard)

    async def body():
        yield b"[1,"
        await more.wait()
        yield b"2]"

    async with served(app) as url, a_door_to(url) as client:
        given = {"Content-Type": "application/json"}
        asking = asyncio.create_task(client.post("/api/v1/orders", content=body(), headers=given))
        await eventually(lambda: heard == [b"[1,"])
        more.set()
        answer = await asking

    assert b"".join(heard) == b"[1,2]"
    assert answer.status_code == 200


async def test_a_body_without_an_announced_length_is_limited_as_well():
    async def body():
        for _ in range(70):
            yield b" " * 1024

    async with served(a_service()) as url, a_door_to(url) as client:
        given = {"Content-Type": "application/json"}
        answer = await client.post("/api/v1/orders", content=body(), headers=given)

    assert [answer.status_code, answer.json()["code"]] == [413, "body_too_large"]


async def test_a_client_that_leaves_ends_an_answer_that_is_not_over_soon(monkeypatch):
    monkeypatch.setattr(gateway_proxy, "REST_WITHIN", 0.0)
    ended = asyncio.Event()

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        await reader.read()
        ended.set()

    async with talking(answer) as url, a_door_to(url) as client:
        async with client.stream("GET", "/api/v1/orders") as response:
            await anext(response.aiter_raw())
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_client_that_leaves_before_a_short_answer_costs_no_connection(monkeypatch):
    # given
    monkeypatch.setattr(gateway_proxy, "PROMPT", 0)  # so that its leaving is seen at once
    asked, left, may_answer, connections = asyncio.Event(), asyncio.Event(), asyncio.Event(), []

    async def converse(reader, writer):
        connections.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                asked.set()
                await may_answer.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def leave():
        await asked.wait()
        left.set()
        return {"type": "http.disconnect"}

    # when
    async with talking(converse) as url:
        proxy = Proxy(url)
        first = asyncio.create_task(proxy(SCOPE, leave, unheard))
        await left.wait()
        for _ in range(9):  # so that whoever gives up at once has done so
            await asyncio.sleep(0)
        may_answer.set()
        await first
        await proxy(SCOPE, asyncio.Event().wait, unheard)
        await proxy.aclose()

    # then
    assert len(connections) == 1


SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/api/v1/orders",
    "query_string": b"",
    "scheme": "http",
    "headers": [],
}


async def unheard(message):
    """Whom it is for has left."""


async def test_a_client_that_leaves_before_its_request_is_whole_is_forgotten():
    messages = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    async with served(a_service()) as url:
        proxy = Proxy(url)
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/v1/orders",
            "query_string": b"",
            "scheme": "http",
            "headers": [(b"host", b"shop"), (b"content-length", b"9")],
        }
        await proxy(scope, receive, send)
        await proxy.aclose()

    assert sent == []


async def test_a_service_that_cannot_be_reached_is_not_available():
    async with a_door_to(NOBODY) as client:
        answer = await client.post("/api/v1/orders", json={})

    assert [answer.status_code, answer.json()["code"]] == [503, "unavailable"]
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_service_that_dies_before_it_answers_is_an_upstream_error():
    async def die(reader, _writer):
        await reader.readuntil(b"\r\n\r\n")

    async with talking(die) as url, a_door_to(url) as client:
        answer = await client.get("/api/v1/orders")

    assert [answer.status_code, answer.json()["code"]] == [502, "upstream_error"]


async def test_a_service_that_dies_within_its_answer_leaves_the_client_no_whole_answer():
    async def die(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()

    async with talking(die) as url, a_door_to(url) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/api/v1/orders")


async def test_a_service_that_does_not_answer_in_time_is_a_timeout():
    async def think(reader, _writer):
        await reader.read()

    async with talking(think) as url, a_door_to(url, answer_within=timedelta(seconds=0.1)) as client:
        answer = await client.get("/api/v1/orders")

    assert [answer.status_code, answer.json()["code"]] == [504, "upstream_timeout"]


async def test_an_answer_that_has_begun_may_take_longer_than_the_first_byte():
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(), 1.2)
        writer.write(b"lf")

    async with talking(answer) as url, a_door_to(url, answer_within=timedelta(seconds=1)) as client:
        response = await client.get("/api/v1/orders")

    assert response.text == "half"


async def test_a_path_is_passed_on_as_it_was_written():
    async def answer(reader, writer):
        line = await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(line), line))

    async with talking(answer) as url, a_door_to(f"{url}/shop/") as client:
        heard = await client.get("/api/v1/orders/a%2Fb%20c?q=%26")

    assert heard.text == "GET /shop/api/v1/orders/a%2Fb%20c?q=%26 HTTP/1.1\r\n"


@pytest.fixture
def here(monkeypatch):
    admission = Admission(waiting=1)
    monkeypatch.setattr(gateway_proxy, "HERE", admission)
    return admission


def an_endless_service():
    """Streams that say one thing and then nothing more."""
    app = FastAPI()

    async def events():
        yield b"data: 1\n\n"
        await asyncio.Event().wait()

    app.get("/api/v1/orders/stream")(lambda: StreamingResponse(events(), media_type="text/event-stream"))
    return app


async def test_a_stream_ends_in_good_order_with_the_process_and_one_too_many_is_refused(here):
    async with (
        served(an_endless_service()) as url,
        a_door_to(url) as client,
        client.stream("GET", "/api/v1/orders/stream") as answer,
    ):
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"data: 1\n\n"
        refused = await client.get("/api/v1/orders/stream")
        here.end()

        assert [piece async for piece in pieces] == []

    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "unavailable", "1")
    assert here.onlookers == 0


async def test_a_stream_is_one_place_also_where_it_prefers_to_wait_and_counts_for_its_user(here, whose):
    here.of_one = 1
    async with (
        served(an_endless_service()) as url,
        a_door_to(url, whose) as client,
        contextlib.AsyncExitStack() as streams,
    ):

        async def follow(name, **headers):
            asked = {"Authorization": f"Bearer {name}", **headers}
            answer = await streams.enter_async_context(client.stream("GET", "/api/v1/orders/stream", headers=asked))
            return answer.status_code, here.onlookers

        here.waiting = 9
        followed = [await follow("ann", Prefer="wait=5"), await follow("ann"), await follow("bob")]

        here.end()
    assert followed == [(200, 1), (503, 1), (200, 2)]
    assert here.onlookers == 0


@pytest.fixture
def whose():
    """A guard that knows the user by their token, which is their name."""

    async def check(token):
        return Caller(uuid5(NAMESPACE_OID, token), Role.CUSTOMER, new_id())

    return Guard(check, None, quotas=(Quota.of("address", "1/second"), Quota.of("principal", "1/second")))


def who_waits(here):
    """A service that tells how many wait for news, and what of it has reached it."""
    app = FastAPI()

    @app.get("/api/v1/orders")
    async def asked(request: Request) -> tuple[int, str | None]:
        return here.onlookers, request.headers.get("prefer")

    return app


async def prefer(client, token=None):
    headers = {"Prefer": "wait=5", **({"Authorization": f"Bearer {token}"} if token else {})}
    return (await client.get("/api/v1/orders", headers=headers)).json()


async def test_who_prefers_to_wait_is_no_load_and_beyond_the_bound_is_not_made_to_wait(here, whose):
    async with served(who_waits(here)) as url, a_door_to(url, whose) as client:
        alone = await prefer(client, "ann")
        with here.looking_on():
            crowded = await prefer(client, "ann")

    assert (alone, crowded) == ([1, "wait=5"], [1, None])
    assert here.onlookers == 0


async def test_one_user_does_not_have_all_the_places_of_those_who_prefer_to_wait(here, whose):
    here.waiting, here.of_one = 9, 1

    async with served(who_waits(here)) as url, a_door_to(url, whose) as client:
        with here.looking_on_as(uuid5(NAMESPACE_OID, "ann"), "elsewhere"):
            asked = [await prefer(client, name) for name in ("ann", "bob")]

    assert asked == [[1, None], [2, "wait=5"]]


async def test_many_users_of_one_address_do_not_have_all_the_places_either(here, whose):
    here.waiting = 4

    async with served(who_waits(here)) as url, a_door_to(url, whose) as client:
        with here.looking_on_as("bob", "127.0.0.1"), here.looking_on_as("cid", "127.0.0.1"):
            same = await prefer(client, "ann")
        with here.looking_on_as("bob", "203.0.113.7"), here.looking_on_as("cid", "203.0.113.7"):
            other = await prefer(client, "ann")

    assert (same, other) == ([2, None], [3, "wait=5"])


async def test_a_stranger_who_prefers_to_wait_is_at_work_like_everybody(here, whose):
    async with served(who_waits(here)) as url, a_door_to(url, whose) as client:
        assert await prefer(client) == [0, "wait=5"]
