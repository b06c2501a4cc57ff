"""What comes over the wire from who means harm: nothing behind the door is reached, and nothing is told."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import uvicorn
from fastapi import Request
from pydantic_core import to_json

from chassis.wire import Wire
from gateway.main import app
from gateway.settings import Settings
from tests.support.eventually import eventually
from tests.support.gateway import a_service, served

HEAD = b"host: shop\r\nconnection: close\r\n"


def a_service_with_secrets(noun="orders"):
    service = a_service(noun=noun)

    @service.get("/metrics", include_in_schema=False)
    async def metrics() -> str:
        return "secret"

    @service.post(f"/api/v1/{noun}/heard", include_in_schema=False)
    async def heard(request: Request) -> str:
        return (await request.body()).decode()

    return service


@asynccontextmanager
async def a_door(**settings):
    """The port of a door behind which two services are: one is hosted, the other has an address."""
    table = {"/api/v1/orders": "order_service", "/api/v1/far/orders": "payment_service"}
    async with served(a_service_with_secrets("far/orders")) as far:
        settings = Settings(routes=table, peers={"payment_service": far}, **settings)
        door = app({"order_service": a_service_with_secrets()}, settings=settings)
        # as `ordermill.host.run` has it
        as_hosted = {"server_header": False, "date_header": False, "proxy_headers": False}
        config = uvicorn.Config(door, port=0, http=Wire, ws="none", log_config=None, **as_hosted)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve())
        await eventually(lambda: server.started)
        try:
            yield server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            await serving


async def said(port, request):
    """All that is answered to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


TRICKS = [
    b"/metrics",
    b"/internal/contacts",
    b"//internal/contacts",
    b"/api/v1/../../internal/contacts",
    b"/api/v1/orders/../../../internal/contacts",
    b"/api/v1/orders/%2e%2e/%2e%2e/%2e%2e/internal/contacts",
    b"/api/v1/orders/..%2f..%2f..%2finternal/contacts",
    b"/api/v1/orders/%252e%252e/%252e%252e/%252e%252e/metrics",
    b"/api/v1/orders/..%5c..%5c..%5cinternal/contacts",
    b"/api/v1/orders/..;/..;/..;/internal/contacts",
    b"/api/v1/far/orders/../../../../metrics",
    b"/api/v1/far/orders/%2e%2e/%2e%2e/%2e%2e/%2e%2e/metrics",
    b"/api/v1/far/orders%00/metrics",
    b"/API/V1/ORDERS",
    b"/%69nternal/contacts",
    b"http://order_service/internal/contacts",
    b"http://order_service/metrics",
    b"http:///metrics",
    b"*",
]


async def test_no_path_leads_behind_the_door():
    async with a_door() as port:
        for trick in TRICKS:
            for headers in (b"", b"x-original-url: /metrics\r\nx-rewrite-url: /metrics\r\nx-forwarded-prefix: /\r\n"):
                answer = await said(port, b"GET %b HTTP/1.1\r\n%b%b\r\n" % (trick, HEAD, headers))

                assert answer[:12] in {b"HTTP/1.1 404", b"HTTP/1.1 400"}, trick
                assert b"secret" not in answer


async def test_no_answer_says_what_serves_it():
    async with a_door() as port:
        answers = [
            await said(port, b"GET %b HTTP/1.1\r\n%b\r\n" % (path, HEAD))
            for path in (b"/api/v1/orders", b"/api/v1/far/orders", b"/livez", b"/nowhere", b"\x00")
        ]

    for answer in answers:
        head = answer.lower().partition(b"\r\n\r\n")[0]
        assert not [name for name in (b"\r\nserver:", b"\r\nx-powered-by:", b"uvicorn", b"python") if name in head]


SMUGGLED = b"GET /metrics HTTP/1.1\r\nhost: shop\r\n\r\n"
FRAMES = [
    b"content-length: 5\r\ncontent-length: 6\r\n\r\n12345",
    b"content-length: 5, 6\r\n\r\n12345",
    b"content-length: +5\r\n\r\n12345",
    b"content-length: 0x5\r\n\r\n12345",
    b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    b"transfer-encoding: chunked\r\n\r\n5\n12345\r\n0\r\n\r\n",
    b"transfer-encoding: chunked\r\n\r\n-5\r\n12345\r\n0\r\n\r\n",
    b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n1\r\n0\r\n\r\n",
    b"content-length: 5\r\nx-a: 1\r\n transfer-encoding: chunked\r\n\r\n12345",
    b"x-a: 1\nx-b: 2\r\n\r\n",
    b"x-a\x00: 1\r\n\r\n",
    b"x a: 1\r\n\r\n",
]


@pytest.mark.parametrize("path", [b"/api/v1/orders/heard", b"/api/v1/far/orders/heard"])
async def test_a_body_has_one_length_and_hides_no_request(path):
    async with a_door() as port:
        for frame in FRAMES:
            head = b"POST %b HTTP/1.1\r\n%bcontent-type: application/json\r\n" % (path, HEAD)
            answer = await asyncio.wait_for(said(port, head + frame), 10)

            assert answer.count(b"HTTP/1.1 ") <= 1, frame
            assert answer[9:10] in {b"4", b""}, frame
            assert b"secret" not in answer


@pytest.mark.parametrize("path", [b"/api/v1/orders/heard", b"/api/v1/far/orders/heard"])
async def test_a_body_whose_length_is_named_as_the_connections_own_is_still_a_body(path):
    async with a_door() as port:
        named = b"content-type: application/json\r\nconnection: content-length\r\ncontent-length: %d\r\n\r\n"
        answers = [
            await said(port, b"POST %b HTTP/1.1\r\n%b%b%b" % (path, HEAD, named % len(SMUGGLED), SMUGGLED))
            for _ in range(3)
        ]

    assert [answer[9:12] for answer in answers] == [b"200"] * 3
    assert [answer.rpartition(b"\r\n\r\n")[2] for answer in answers] == [to_json(SMUGGLED.decode())] * 3


@pytest.mark.parametrize(("path", "found"), [(b"/api/v1/orders", 1), (b"/api/v1/far/orders", 1)])
async def test_an_address_that_is_claimed_is_not_believed(path, found):
    claims = b"x-forwarded-for: 6.6.6.6\r\nx-real-ip: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\n"
    async with a_door(address_rate="2 per day") as port:
        answers = [
            await said(port, b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path, HEAD, claims.replace(b"6.6.6.6", b"6.6.6.%d" % n)))
            for n in range(3)
        ]

    assert [answer[9:12] for answer in answers][2] == b"429"
    assert len([answer for answer in answers if b'"address";r=1;' in answer]) == found


@pytest.mark.parametrize("path", [b"/api/v1/orders", b"/api/v1/far/orders"])
async def test_what_is_too_large_is_refused_before_it_is_read(path):
    head = b"POST %b HTTP/1.1\r\n%bcontent-type: application/json\r\n" % (path, HEAD)
    chunk = b"8000\r\n" + b"1" * 0x8000 + b"\r\n"
    async with a_door() as port:
        told = await said(port, head + b"content-length: 70000\r\nexpect: 100-continue\r\n\r\n")
        untold = await said(port, head + b"transfer-encoding: chunked\r\n\r\n" + 3 * chunk + b"0\r\n\r\n")

    assert [told[9:12], untold[9:12]] == [b"413", b"413"]
    assert b"100 Continue" not in told
