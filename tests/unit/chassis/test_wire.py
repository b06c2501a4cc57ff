"""Bytes that are no request, heads that are too long, requests that never end: refused, or the connection is closed."""

import asyncio
import json

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from chassis import parting
from chassis.ahead import AHEAD
from chassis.bounded import HEAD_LIMIT, PIECES
from chassis.refusing import URL_TOO_LONG
from chassis.wire import Wire
from tests.support.eventually import eventually

POST = b"POST /orders HTTP/1.1\r\nhost: x\r\n"
GET = b"GET /orders HTTP/1.1\r\nhost: x\r\n"


class Impatient(Wire):
    """Half a second for a request."""

    patience = 0.5


class Told:
    """What was asked of the application, and the moment when it may answer."""

    def __init__(self):
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.server: uvicorn.Server
        self.reads = []

    async def answer(self, request: Request):
        body = await request.body()
        [connection] = self.server.server_state.connections
        self.reads.append(not connection.flow.read_paused)
        assert "x-forwarded-for" not in request.headers
        return JSONResponse({"size": len(body)})

    async def answer_less(self, request: Request):
        async def pieces():
            yield b"begun"
            raise RuntimeError

        return StreamingResponse(pieces())

    async def answer_early(self, request: Request):
        return JSONResponse({"early": True}, 403)

    async def answer_later(self, request: Request):
        self.asked.set()
        await self.may_answer.wait()
        return JSONResponse({"late": True})


@pytest.fixture
def told():
    return Told()


@pytest.fixture
async def served(told):
    """A server of this protocol; gives its port."""
    servers = []

    async def serve(protocol):
        routes = [
            Route("/orders", told.answer, methods=["GET", "POST"]),
            Route("/later", told.answer_later, methods=["GET"]),
            Route("/short", told.answer_less, methods=["POST"]),
            Route("/early", told.answer_early, methods=["POST"]),
        ]
        config = uvicorn.Config(Starlette(routes=routes), port=0, http=protocol, ws="none", log_config=None)
        server = told.server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        servers.append((server, serving))
        await eventually(lambda: server.started)
        return server.servers[0].sockets[0].getsockname()[1]

    yield serve
    told.may_answer.set()
    for server, serving in servers:
        server.should_exit = True
        await serving


@pytest.fixture
async def connect(served):
    """A connection to a server of this protocol."""
    writers = []

    async def connect(protocol=Wire):
        reader, writer = await asyncio.open_connection("127.0.0.1", await served(protocol))
        writers.append(writer)
        return reader, writer

    yield connect
    for writer in writers:
        writer.close()


async def read(reader):
    """Status, headers and body of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    return int(head[0].split()[1]), headers, json.loads(await reader.readexactly(int(headers["content-length"])))


async def is_refused(reader, detail):
    status, headers, body = await read(reader)
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert (body["code"], body["detail"], body["status"]) == ("header_invalid", detail, 400)
    assert body["request_id"] == headers["x-request-id"]
    assert headers["connection"] == "close"
    assert await reader.read() == b""
    return body


@pytest.mark.parametrize(
    ("sent", "instance"),
    [
        (b"\x16\x03\x01\x02\x00", ""),
        (b"FOO /orders HTTP/1.1\r\n\r\n", ""),
        (GET + b"idempotency-key: \x7f\r\n\r\n", "/orders"),
        (GET.replace(b"/orders", b"/orders?limit=\xd9\xa2") + b"\r\n", ""),
        (POST + b"content-length: -5\r\n\r\n", "/orders"),
        (POST + b"transfer-encoding: chunked\r\n\r\nno size\r\n", "/orders"),
    ],
)
async def test_what_is_no_request_is_refused_with_a_problem(connect, sent, instance):
    reader, writer = await connect()

    writer.write(sent)

    body = await is_refused(reader, "What came is not a request of HTTP/1.1.")
    assert body["instance"] == instance


@pytest.mark.parametrize("headers", [b"x-long: %b\r\n" % (b"y" * 1000) * 33, b"x: %b\r\n" % (b"y" * 400) * 82])
async def test_a_head_that_is_too_long_is_refused(connect, headers):
    reader, writer = await connect()

    writer.write(GET + headers + b"\r\n")

    await is_refused(reader, "At most 32 KiB of headers.")


@pytest.mark.parametrize(
    ("head", "detail"),
    [
        (GET + b"a:\r\n" * 100, "At most 100 headers."),
        (GET.replace(b"/", b"/" * 8_200, 1), URL_TOO_LONG.detail),
        (
            GET.replace(b" HTTP", b"?" + b"a&" * 200 + b" HTTP", 1),
            URL_TOO_LONG.detail,
        ),
    ],
)
async def test_a_head_of_too_many_parts_is_refused(connect, head, detail):
    reader, writer = await connect()

    writer.write(head + b"\r\n")

    await is_refused(reader, detail)


async def test_behind_others_there_is_room_for_what_they_add(connect, monkeypatch):
    reader, writer = await connect()
    monkeypatch.setattr(Wire.admission, "place", lambda _scope: "elsewhere")

    writer.write(GET + b"a:\r\n" * 105 + b"\r\n")

    assert (await read(reader))[0] == 200


async def test_of_a_target_without_end_the_refusal_tells_little(connect):
    reader, writer = await connect()

    writer.write(b"GET /" + b"a" * 100_000)

    assert len((await read(reader))[2]["instance"]) <= 200


@pytest.mark.parametrize(
    "wish", [b"connection: upgrade\r\nupgrade: websocket\r\n", b"connection: upgrade\r\nupgrade: h2c\r\n"]
)
@pytest.mark.parametrize("length", [b"content-length: %d\r\n", b"transfer-encoding: chunked\r\nx-size: %d\r\n"])
async def test_a_body_beside_the_wish_for_another_protocol_is_no_request_of_its_own(connect, wish, length):
    reader, writer = await connect()
    writer.write(POST + wish + length % len(GET + b"\r\n") + b"\r\n")

    await is_refused(reader, "No other protocol is spoken here. Leave Upgrade out where there is a body.")


async def test_a_wish_for_another_protocol_is_answered_in_this_one_and_ends_the_connection(connect):
    reader, writer = await connect()
    writer.write(GET + b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 0\r\n\r\n")

    status, headers, body = await read(reader)

    assert (status, headers["connection"], body) == (200, "close", {"size": 0})
    assert await reader.read() == b""


async def test_a_header_that_does_not_end_is_refused(connect):
    reader, writer = await connect()
    answer = asyncio.create_task(read(reader))

    writer.write(GET + b"x-endless: ")
    await eventually(lambda: answer.done() or writer.write(b"y" * (HEAD_LIMIT // 4)))

    status, _, body = answer.result()
    assert (status, body["code"], body["detail"]) == (400, "header_invalid", "At most 32 KiB of headers.")


async def test_several_requests_pass_through_one_connection(connect):
    reader, writer = await connect()
    head = POST + b"content-length: 40000\r\n\r\n"

    for _ in range(3):
        writer.write(head + b"y" * 40_000)

    assert [(await read(reader))[2] for _ in range(3)] == [{"size": 40_000}] * 3


async def test_a_body_that_comes_in_pieces_is_no_head(connect):
    reader, writer = await connect()

    for _ in range(3):
        writer.write(POST + b"content-length: 60000\r\nexpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"y" * 60_000)
        assert (await read(reader))[2] == {"size": 60_000}


@pytest.mark.parametrize("sent", [b"", b"\r\n", GET, POST + b"content-length: 5\r\n\r\nab"])
async def test_a_connection_that_brings_no_whole_request_is_closed(connect, sent):
    reader, writer = await connect(Impatient)

    writer.write(sent)

    async with asyncio.timeout(5):
        assert await reader.read() == b""


@pytest.mark.parametrize("sent", [b"\r\n", GET, POST + b"content-length: 5\r\n\r\nab"])
async def test_one_that_brings_no_other_whole_request_after_an_answer_is_closed(connect, sent):
    reader, writer = await connect(Impatient)
    writer.write(GET + b"\r\n")
    assert (await read(reader))[0] == 200

    writer.write(sent)

    async with asyncio.timeout(4):
        assert await reader.read() == b""


@pytest.mark.parametrize("begun", [GET, POST + b"content-length: 5\r\n\r\nab"])
async def test_one_that_brings_a_whole_request_and_half_of_another_is_answered_and_closed(connect, begun):
    reader, writer = await connect(Impatient)

    writer.write(GET + b"\r\n" + begun)

    async with asyncio.timeout(4):
        assert (await read(reader))[0] == 200
        assert await reader.read() == b""


async def test_a_request_that_is_whole_may_take_its_time(connect, told):
    reader, writer = await connect(Impatient)

    writer.write(GET.replace(b"/orders", b"/later") + b"\r\n")
    await told.asked.wait()
    await asyncio.sleep(0.8)
    told.may_answer.set()

    assert (await read(reader))[2] == {"late": True}


async def test_a_request_that_waits_for_the_one_before_is_not_late(connect, told):
    reader, writer = await connect(Impatient)

    writer.write(GET.replace(b"/orders", b"/later") + b"\r\n" + POST + b"content-length: 2\r\n\r\n")
    await told.asked.wait()
    await asyncio.sleep(0.8)
    told.may_answer.set()

    assert (await read(reader))[2] == {"late": True}
    writer.write(b"ab")
    assert (await read(reader))[2] == {"size": 2}


async def test_what_follows_a_request_and_is_none_takes_no_other_answers_place(connect, told):
    reader, writer = await connect()

    writer.write(GET.replace(b"/orders", b"/later") + b"\r\n")
    await told.asked.wait()
    writer.write(b"\x00\x00\r\n\r\n")

    assert await reader.read() == b""


# --- requests ahead of their turn, and bodies in crumbs

ALATER = GET.replace(b"/orders", b"/later") + b"\r\n"


async def test_requests_that_wait_for_their_turn_are_answered_in_order_and_nothing_is_read_meanwhile(connect, told):
    reader, writer = await connect()
    writer.write(ALATER + (GET + b"\r\n") * (AHEAD - 1) + POST + b"content-length: 2\r\n\r\na")
    await told.asked.wait()

    told.may_answer.set()
    answers = [(await read(reader))[2] for _ in range(AHEAD)]
    writer.write(b"b" + GET + b"\r\n")
    answers += [(await read(reader))[2] for _ in range(2)]

    assert answers == [{"late": True}, *[{"size": 0}] * (AHEAD - 1), {"size": 2}, {"size": 0}]
    assert told.reads == [*[False] * AHEAD, True]


async def test_of_requests_that_come_far_ahead_the_first_are_answered_and_then_the_connection_ends(connect, told):
    reader, writer = await connect()
    writer.write(ALATER + (GET + b"\r\n") * 5_000)
    await told.asked.wait()
    writer.write((GET + b"\r\n") * 5_000)

    told.may_answer.set()
    answers = [await read(reader) for _ in range(1 + AHEAD)]

    assert [headers.get("connection") for _, headers, _ in answers] == [*[None] * AHEAD, "close"]
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    assert len(told.reads) == AHEAD


async def test_a_body_in_crumbs_is_not_read_to_its_end(connect):
    reader, writer = await connect()

    writer.write(POST + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * (PIECES + 1))

    await is_refused(reader, "A body comes in at most 512 pieces.")


async def test_as_many_pieces_as_a_body_may_have_are_taken(connect):
    reader, writer = await connect()

    writer.write(POST + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * PIECES + b"0\r\n\r\n")

    assert (await read(reader))[2] == {"size": PIECES}


async def test_a_broken_body_that_waits_for_its_turn_takes_no_other_answers_place(connect, told):
    reader, writer = await connect()

    writer.write(ALATER + POST + b"transfer-encoding: chunked\r\n\r\nno size\r\n")

    assert await reader.read() == b""


async def test_a_body_that_breaks_after_its_answer_is_not_answered_twice(connect):
    reader, writer = await connect()
    writer.write(
        POST.replace(b"/orders", b"/nowhere") + b"transfer-encoding: chunked\r\n\r\n40000\r\n" + b"y" * 0x40000
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404")
    assert await reader.readexactly(9) == b"Not Found"

    writer.write(b"no end")

    assert await reader.read() == b""


# --- what stands beside a request


FORBIDDEN = POST.replace(b"orders", b"early") + b"connection: close\r\ncontent-length: 300000\r\n\r\n"
BROKEN = POST + b"transfer-encoding: chunked\r\n\r\nno size\r\n"
CROWDED = GET.replace(b"orders", b"later") + b"\r\n" + (GET + b"\r\n") * (AHEAD + 1)


async def comes(reader, writer, size):
    """Sends so much, some at a time, as a client does that has not looked at its answer."""
    for _ in range(size // 10_000):
        writer.write(b"y" * 10_000)
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("sent", [FORBIDDEN, BROKEN])
async def test_who_still_sends_when_the_answer_is_there_does_not_lose_it(connect, sent):
    reader, writer = await connect()
    writer.write(sent)
    await reader.readuntil(b"\r\n\r\n")

    await comes(reader, writer, 200_000)

    assert (await reader.read()).startswith(b"{")


async def test_an_answer_that_is_cut_short_ends_at_once(connect, told):
    reader, writer = await connect()
    writer.write(FORBIDDEN.replace(b"early", b"short"))

    await eventually(lambda: not told.server.server_state.connections, within=1.0)

    assert (await reader.read()).endswith(b"begun\r\n")


async def test_who_sends_far_ahead_does_not_lose_the_last_answers(connect, told):
    reader, writer = await connect()
    writer.write(CROWDED)
    await told.asked.wait()
    await comes(reader, writer, 50_000)
    told.may_answer.set()
    answers = [await read(reader) for _ in range(1 + AHEAD)]

    await comes(reader, writer, 50_000)

    assert answers[-1][1]["connection"] == "close"
    assert await reader.read() == b""
    writer.close()
    await eventually(lambda: not told.server.server_state.connections, within=1.0)


@pytest.mark.parametrize(("bound", "least"), [("DROPPED_AT_MOST", 10_000), ("PARTS_WITHIN", 0.1)])
async def test_what_comes_behind_the_end_is_not_read_for_ever(connect, told, monkeypatch, bound, least):
    monkeypatch.setattr(parting, "PARTS_WITHIN", 60.0)
    monkeypatch.setattr(parting, bound, least)
    reader, writer = await connect()
    writer.write(BROKEN)
    await reader.readuntil(b"\r\n\r\n")
    [connection] = told.server.server_state.connections
    assert connection.is_half_open
    assert connection.may_give_way
    assert not connection.transport.is_closing()

    writer.write(b"y" * 20_000)

    await eventually(lambda: not told.server.server_state.connections)


async def test_who_has_heard_the_end_keeps_no_place(connect, told):
    reader, writer = await connect()
    writer.write(BROKEN)
    await reader.read()
    assert told.server.server_state.connections

    writer.close()

    await eventually(lambda: not told.server.server_state.connections, within=1.0)


async def test_a_trailer_is_no_header(connect):
    reader, writer = await connect()

    writer.write(POST + b"transfer-encoding: chunked\r\n\r\n0\r\nx-forwarded-for: 203.0.113.7\r\n\r\n")

    assert (await read(reader))[2] == {"size": 0}


@pytest.mark.parametrize("begun", [b"0\r\nX: a", b"0;", b"1;"])
async def test_what_stands_beside_a_body_and_does_not_end_is_refused(connect, begun):
    reader, writer = await connect()
    writer.write(POST + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n" + begun)
    await asyncio.sleep(0.05)

    for _ in range(9):
        writer.write(b"a" * 4096)
        await writer.drain()
        await asyncio.sleep(0.01)

    await is_refused(reader, "At most 32 KiB of headers.")


async def test_an_answer_has_left_before_the_next_request_is_told_to_go_on(connect):
    reader, writer = await connect()

    head = GET.replace(b"GET", b"HEAD") + b"\r\n"
    writer.write(head + POST + b"content-length: 2\r\nexpect: 100-continue\r\n\r\n")

    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"ab")
    assert (await read(reader))[2] == {"size": 2}


async def test_whoever_asks_whether_to_send_too_long_a_body_is_answered_and_let_go(connect):
    reader, writer = await connect()

    writer.write(POST.replace(b"/orders", b"/nowhere") + b"content-length: 70000\r\nexpect: 100-continue\r\n\r\n")

    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"connection: close\r\n" in answer
