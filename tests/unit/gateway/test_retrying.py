"""Which requests are sent once more, and where; and several instances of a service, one of which is gone."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest

from chassis.boundary import Boundary
from gateway import instances
from gateway.proxy import Proxy
from tests.support.eventually import eventually
from tests.support.gateway import a_client, a_door_to, a_service, served, talking

NOBODY = "http://127.0.0.1:1"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
KEY = {"Idempotency-Key": "one"}


@asynccontextmanager
async def a_client_of(*urls):
    proxy = Proxy(*urls)
    async with a_client(Boundary(proxy, "gateway")) as client:
        yield client
    await proxy.aclose()


class Forgetful:
    """Answers the first request of each connection. It ends the first connection at the second request, unanswered."""

    def __init__(self):
        self.heard = []
        self.connections = 0

    async def converse(self, reader, writer):
        self.connections += 1
        is_first = self.connections == 1
        while head := await self._request(reader):
            self.heard.append(head)
            if is_first and len(self.heard) == 2:
                return
            writer.write(OK)

    async def _request(self, reader):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return head + await reader.readexactly(int(length or 0))


@pytest.mark.parametrize(("method", "headers"), [("GET", {}), ("POST", KEY)])
async def test_a_kept_connection_that_ends_unanswered_costs_nobody_a_request_that_may_be_repeated(method, headers):
    service = Forgetful()
    async with talking(service.converse) as url, a_client_of(url) as client:
        await client.get("/api/v1/orders")
        answer = await client.request(method, "/api/v1/orders", headers=headers, json={"a": 1})

    assert [answer.status_code, len(service.heard), service.connections] == [200, 3, 2]
    assert service.heard[1] == service.heard[2]


async def test_a_connection_on_which_half_a_request_was_said_is_not_used_again():
    async def converse(reader, writer):
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        heard[-1] += await reader.read()

    async def half():
        yield b"["
        await asyncio.Event().wait()

    heard = []
    async with talking(converse) as url, a_client_of(url) as client:
        given = {"Content-Type": "application/json", "Content-Length": "2"}
        answers = [await client.post("/api/v1/orders", content=half(), headers=given) for _ in range(2)]

    assert [answer.text for answer in answers] == ["ok", "ok"]
    assert [each.count(b"HTTP/1.1") for each in heard] == [1, 1]


async def test_a_request_that_may_not_be_repeated_is_never_repeated():
    service = Forgetful()
    async with talking(service.converse) as url, a_client_of(url) as client:
        await client.get("/api/v1/orders")
        answer = await client.post("/api/v1/orders", json={"a": 1})

    assert [answer.status_code, answer.json()["code"], len(service.heard)] == [502, "upstream_error", 2]


async def test_a_request_that_a_new_connection_lost_is_never_repeated():
    heard = []

    async def die(reader, _writer):
        heard.append(await reader.readuntil(b"\r\n\r\n"))

    async with talking(die) as url, a_client_of(url) as client:
        answer = await client.get("/api/v1/orders")

    assert [answer.status_code, len(heard)] == [502, 1]


@pytest.mark.parametrize(("method", "tries"), [("GET", 2), ("POST", 1)])
async def test_where_there_is_one_instance_only_a_safe_request_tries_to_connect_again(method, tries, monkeypatch):
    tried = []

    async def refuse(*_given, **_options):
        tried.append(1)
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", refuse)
    async with a_client_of("http://order") as client:
        answer = await client.request(method, "/api/v1/orders")

    assert [answer.status_code, answer.json()["code"], len(tried)] == [503, "unavailable", tries]


async def test_a_request_goes_to_another_instance_when_one_cannot_be_reached():
    async with served(a_service()) as url, a_client_of(NOBODY, url) as client:
        answers = [await client.post("/api/v1/orders", json={"a": 1}) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 6


async def test_two_instances_share_the_requests():
    counts = [0, 0]

    def counting(number):
        async def count(reader, writer):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                counts[number] += 1
                writer.write(OK)

        return count

    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(talking(counting(number))) for number in (0, 1)]
        client = await stack.enter_async_context(a_client_of(*urls))
        for _ in range(10):
            await client.get("/api/v1/orders")

    assert counts == [5, 5]


async def test_a_service_that_fails_again_and_again_is_not_asked_for_a_while(monkeypatch):
    monkeypatch.setattr(instances, "FIRST_REST", 5.0)
    async with a_client_of(NOBODY) as client:
        for _ in range(3):
            await client.post("/api/v1/orders", json={})
        answer = await client.get("/api/v1/orders")

    assert [answer.status_code, answer.json()["code"], answer.headers["retry-after"]] == [503, "unavailable", "5"]
    assert answer.json()["detail"] == "The service does not answer now. Try again."


async def test_a_service_that_is_back_is_asked_again(monkeypatch):
    monkeypatch.setattr(instances, "FIRST_REST", 0.01)
    reachable = asyncio.Event()

    async def answer_later(reader, writer):
        while await reader.readuntil(b"\r\n\r\n") and reachable.is_set():
            writer.write(OK)

    async with talking(answer_later) as url, a_client_of(url) as client:
        for _ in range(3):
            assert (await client.post("/api/v1/orders")).status_code == 502
        reachable.set()

        async def is_back():
            return (await client.get("/api/v1/orders")).status_code == 200

        await eventually(is_back)


async def test_beyond_a_thousand_requests_to_one_service_a_client_is_told_to_come_back(monkeypatch):
    monkeypatch.setattr(instances, "AT_MOST", 0)
    async with a_client_of("https://order") as client:
        answer = await client.get("/api/v1/orders")

    assert [answer.status_code, answer.json()["code"], answer.headers["retry-after"]] == [503, "unavailable", "1"]


async def test_whoever_is_told_without_end_does_not_keep_a_service_that_is_back_from_the_others(monkeypatch):
    """The first who came after a failure was the trial until the end of their stream, and nobody else was let in."""
    monkeypatch.setattr(instances, "FIRST_REST", 0.01)
    is_back = asyncio.Event()

    async def converse(reader, writer):
        while (head := await reader.readuntil(b"\r\n\r\n")) and is_back.is_set():
            writer.write(STREAM if b"/stream " in head else OK)

    async with talking(converse) as url, a_door_to(url) as client:
        for _ in range(3):
            assert (await client.post("/api/v1/orders")).status_code == 502
        is_back.set()

        async def listens():
            async with client.stream("GET", "/api/v1/orders/1/stream") as stream:
                if stream.status_code == 200:
                    assert await anext(stream.aiter_text()) == "data: 1\n\n"
                    assert (await client.get("/api/v1/orders")).status_code == 200
                return stream.status_code == 200

        await eventually(listens)


async def test_an_answer_that_ends_early_says_nothing_against_a_service_that_began_it():
    """A service cuts off who reads too slowly: three such clients at once, and it was left alone."""

    async def converse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK[:-1])

    async with talking(converse) as url, a_door_to(url) as client:
        for _ in range(4):
            with pytest.raises(httpx2.RemoteProtocolError):
                await client.get("/api/v1/orders")
