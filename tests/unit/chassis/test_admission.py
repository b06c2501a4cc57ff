"""One request too many is refused at once and politely; what waits for news, probes and the end are no load."""

import asyncio
import contextlib
import json
import socket

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from chassis import wire
from chassis.admission import Admission, Crowded
from chassis.permits import Permits
from chassis.refusing import at_a_glance
from chassis.unread import BEHIND
from chassis.wire import Wire
from tests.support.eventually import eventually

LATER = b"GET /later HTTP/1.1\r\nhost: x\r\n\r\n"
GET = b"GET /orders HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /orders HTTP/1.1\r\nhost: x\r\n"


class Edge:
    """A server with room for one request and three connections, and what it was asked."""

    def __init__(self):
        self.admission = Admission(Permits(1), waiting=1, connections=3)
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.server: uvicorn.Server
        self.writers = []
        self.sockets = []

    @property
    def address(self):
        return self.server.servers[0].sockets[0].getsockname()

    async def answer(self, request: Request):
        return JSONResponse({"size": len(await request.body())})

    async def answer_later(self, request: Request):
        self.asked.set()
        await self.may_answer.wait()
        return JSONResponse({"late": True})

    async def look_on(self, request: Request):
        with self.admission.looking_on():
            return await self.answer_later(request)

    async def stream(self, request: Request):
        async def pieces():
            with self.admission.looking_on():
                for _ in range(3):
                    yield b"y" * 60_000

        return StreamingResponse(pieces())

    async def fill(self, request: Request):
        return Response(b"y" * 50_000_000)

    async def tell_in_pieces(self, request: Request):
        async def pieces():
            for _ in range(3):
                yield b"y" * 60_000

        return StreamingResponse(pieces())

    async def tell_little(self, request: Request):
        return Response(b"y" * 60_000)

    async def connect(self, **options):
        reader, writer = await asyncio.open_connection(*self.address, **options)
        self.writers.append(writer)
        return reader, writer

    async def busy(self):
        """A connection whose request is at work."""
        reader, writer = await self.connect()
        writer.write(LATER)
        await self.asked.wait()
        return reader, writer

    async def crowded(self):
        """As many connections as there may be, each with a request at work."""
        self.admission.work.most = 9
        for _ in range(3):
            await self.busy()
            self.asked.clear()


@pytest.fixture
async def edge():
    edge = Edge()

    class Narrow(Wire):
        admission = edge.admission
        patience = 0.5

    routes = [
        Route("/orders", edge.answer, methods=["GET", "POST"]),
        Route("/later", edge.answer_later),
        Route("/news", edge.look_on),
        Route("/stream", edge.stream),
        Route("/much", edge.fill),
        Route("/little", edge.tell_little),
        Route("/pieces", edge.tell_in_pieces),
        Route("/livez", edge.answer),
    ]
    edge.protocol = Narrow
    config = uvicorn.Config(Starlette(routes=routes), port=0, http=Narrow, ws="none", log_config=None)
    edge.server = uvicorn.Server(config)
    serving = asyncio.create_task(edge.server._serve())
    await eventually(lambda: edge.server.started)
    yield edge
    edge.may_answer.set()
    edge.server.should_exit = True
    for each in (*edge.writers, *edge.sockets):
        each.close()
    await serving


async def read(reader):
    """Status, headers and body of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    return int(head[0].split()[1]), headers, json.loads(await reader.readexactly(int(headers["content-length"])))


async def test_one_request_too_many_is_told_to_come_again_and_keeps_its_connection(edge):
    busy, _ = await edge.busy()
    reader, writer = await edge.connect()

    writer.write(POST + b"X-Request-ID: mine\r\ncontent-length: 2\r\n\r\nab")
    status, headers, body = await read(reader)

    assert (status, headers["content-type"]) == (503, "application/problem+json")
    assert (headers["retry-after"], headers["x-request-id"], headers["connection"]) == ("1", "mine", "keep-alive")
    assert body == {
        "type": "/docs/errors/unavailable", "title": "Not available now", "status": 503, "code": "unavailable",
        "detail": "Too many requests are being worked on. Try again.", "instance": "/orders", "request_id": "mine",
        "retryable": True, "errors": [],
    }  # fmt: skip
    edge.may_answer.set()
    assert (await read(busy))[2] == {"late": True}
    writer.write(POST + b"content-length: 2\r\n\r\nab")
    assert (await read(reader))[2] == {"size": 2}


async def test_head_is_refused_without_a_body_so_that_the_next_answer_is_its_own(edge):
    await edge.busy()
    reader, writer = await edge.connect()

    writer.write(b"HEAD /orders HTTP/1.1\r\nhost: shop\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(POST + b"content-length: 2\r\n\r\nab")
    status, _, body = await read(reader)

    assert head.startswith(b"HTTP/1.1 503 ")
    assert (status, body["code"]) == (503, "unavailable")


async def test_a_length_of_many_digits_is_no_length(edge):
    await edge.busy()
    reader, writer = await edge.connect()

    writer.write(POST + b"content-length: " + b"9" * 5_000 + b"\r\n\r\n")
    status, _, _ = await read(reader)

    assert status == 400


async def test_who_reads_no_refusal_is_told_little_and_let_go(edge):
    await edge.busy()
    _, writer = await edge.connect()
    one = POST + b"content-length: 2\r\n\r\nab"

    async def let_go():
        writer.write(one * 2_000)
        await asyncio.sleep(0)
        return writer.transport.is_closing()

    await eventually(let_go)


@pytest.mark.parametrize(
    "pieces",
    [
        [POST + b"content-length: 4\r\n\r\nab", b"cd"],
        [POST, b"content-length: 4\r\n\r\nabcd"],
        [POST + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n", b"0\r\n\r\n"],
        [POST + b"x-request-id: mine\r\n\r\n"],
        [POST + b"x-request-id: mine\r\nconnection: keep-alive\r\n\r\n"],
    ],
)
async def test_however_a_request_comes_it_is_refused_whole(edge, pieces):
    await edge.busy()
    reader, writer = await edge.connect()

    for _ in range(2):
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.02)
        status, headers, _ = await read(reader)
        assert (status, headers["connection"]) == (503, "keep-alive")


@pytest.mark.parametrize("more", [b"connection: close\r\n", b"content-length: 9\r\nexpect: 100-continue\r\n"])
async def test_a_client_that_will_not_go_on_is_refused_and_let_go(edge, more):
    await edge.busy()
    reader, writer = await edge.connect()

    writer.write(POST + more + b"\r\n")

    status, headers, _ = await read(reader)
    assert (status, headers["connection"]) == (503, "close")
    assert await reader.read() == b""


async def test_requests_that_queue_behind_a_refused_one_are_refused_in_their_order(edge):
    edge.admission.work.most = 3
    reader, writer = await edge.busy()
    edge.admission.work.most = 0

    writer.write(b"".join(b"GET /orders?%d HTTP/1.1\r\nx-request-id: r%d\r\n\r\n" % (n, n) for n in range(1500)))
    edge.may_answer.set()

    assert (await read(reader))[2] == {"late": True}
    assert [(await read(reader))[2]["request_id"] for _ in range(1500)] == [f"r{n}" for n in range(1500)]


@pytest.mark.parametrize("target", [b"/livez", b"/livez?by=supervisor"])
async def test_a_probe_is_answered_whatever_the_load(edge, target):
    await edge.busy()
    for _ in range(2):
        await edge.connect()
    reader, writer = await edge.connect()

    writer.write(b"GET %s HTTP/1.1\r\n\r\n" % target)

    assert (await read(reader))[0] == 200


async def test_of_one_place_half_is_worked_on_and_whoever_comes_from_another_finds_room(edge):
    edge.admission.work.most = 3
    for _ in range(2):
        await edge.busy()
        edge.asked.clear()

    statuses = []
    for place in ("127.0.0.1", "127.0.0.2"):
        reader, writer = await edge.connect(local_addr=(place, 0))
        writer.write(GET)
        statuses.append((await read(reader))[0])

    assert statuses == [503, 200]


async def test_where_others_say_from_where_a_request_comes_that_is_its_place(edge):
    edge.admission.work.most = 3
    edge.admission.place = lambda scope: dict(scope["headers"])[b"host"]
    await edge.busy()
    edge.asked.clear()
    await edge.busy()  # both from x
    reader, writer = await edge.connect()

    statuses = []
    for request in (GET, GET.replace(b"x", b"y")):
        writer.write(request)
        statuses.append((await read(reader))[0])

    assert statuses == [503, 200]


async def test_of_who_leaves_before_its_turn_nothing_is_begun(edge):
    edge.admission.work.most = 9
    await edge.connect()
    while edge.admission.turns.left:
        edge.admission.turns.take("others", lambda: None)

    [wire] = edge.server.server_state.connections
    wire.data_received(LATER)
    wire.connection_lost(None)
    await asyncio.sleep(0)

    assert edge.admission.work.count == 0
    assert not edge.asked.is_set()


async def test_who_waits_for_news_is_in_nobodys_way(edge):
    _, writer = await edge.connect()
    writer.write(LATER.replace(b"later", b"news"))
    await edge.asked.wait()
    reader, writer = await edge.connect()

    writer.write(POST + b"content-length: 1\r\n\r\na")

    assert (await read(reader))[2] == {"size": 1}
    assert edge.admission.onlookers == 1


async def test_on_one_connection_too_many_only_probes_are_answered(edge):
    await edge.crowded()
    reader, writer = await edge.connect()

    writer.write(POST + b"content-length: 1\r\n\r\na")

    status, headers, _ = await read(reader)
    assert (status, headers["connection"]) == (503, "close")
    assert await reader.read() == b""


async def test_one_connection_too_many_ends_at_once(edge, monkeypatch):
    monkeypatch.setattr(edge.protocol, "patience", 60.0)
    await edge.crowded()
    reader, writer = await edge.connect()

    writer.write(POST + b"content-length: 9\r\nexpect: 100-continue\r\n\r\n")

    assert (await read(reader))[0] == 503
    await eventually(lambda: len(edge.server.server_state.connections) == 3, within=1.0)


@pytest.mark.parametrize("begun", [b"", b"GET /ord", POST + b"content-length: 5\r\n\r\nab"])
async def test_who_holds_connections_and_says_nothing_whole_gives_way(edge, begun):
    edge.admission.work.most = 3
    kept, keeper = await edge.connect()
    keeper.write(GET)
    assert (await read(kept))[0] == 200
    held = [await edge.connect() for _ in range(2)]
    for _, writer in held:
        writer.write(begun)
    reader, writer = await edge.connect()

    writer.write(GET)
    assert (await read(reader))[0] == 200
    keeper.write(GET)
    assert (await read(kept))[0] == 200

    closed = [asyncio.ensure_future(waiting.read()) for waiting, _ in held]
    await asyncio.wait(closed, return_when=asyncio.FIRST_COMPLETED)
    assert next(each.result() for each in closed if each.done()) == b""


@pytest.mark.parametrize("begun", [b"content-length: 5\r\n\r\nab", b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n"])
async def test_a_request_that_is_not_whole_is_nobodys_work(edge, begun):
    edge.admission.connections = 50
    half = [await edge.connect() for _ in range(9)]
    for _, writer in half:
        writer.write(POST + begun)
    reader, writer = await edge.connect()

    writer.write(GET)
    assert (await read(reader))[0] == 200
    assert len(edge.server.server_state.tasks) == 0
    half[0][1].write(b"cde" if begun.startswith(b"content") else b"0\r\n\r\n")
    assert (await read(half[0][0]))[0] == 200


async def test_a_request_that_becomes_whole_when_too_many_are_at_work_is_refused(edge):
    reader, writer = await edge.connect()
    writer.write(POST + b"content-length: 3\r\n\r\na")
    await edge.busy()

    writer.write(b"bc")

    assert (await read(reader))[0] == 503


async def test_a_body_beyond_the_limit_is_not_waited_for(edge):
    reader, writer = await edge.connect()
    writer.write(POST + b"transfer-encoding: chunked\r\n\r\n" + b"8000\r\n%b\r\n" % (b"1" * 0x8000) * 3)
    await eventually(lambda: len(edge.server.server_state.tasks) == 1)
    writer.write(b"0\r\n\r\n")

    assert (await read(reader))[2] == {"size": 3 * 0x8000}


async def test_who_only_keeps_a_connection_gives_way_to_who_asks(edge):
    at_work, _ = await edge.busy()
    for _ in range(2):
        reader, writer = await edge.connect()
        writer.write(b"GET /livez HTTP/1.1\r\n\r\n")
        assert (await read(reader))[0] == 200
    reader, writer = await edge.connect()

    writer.write(b"GET /livez HTTP/1.1\r\n\r\n")

    status, headers, _ = await read(reader)
    assert (status, headers.get("connection")) == (200, None)
    edge.may_answer.set()
    assert (await read(at_work))[2] == {"late": True}


async def test_a_client_that_does_not_read_its_answer_is_cut_off(edge):
    reader, writer = await edge.connect()
    writer.write(b"GET /much HTTP/1.1\r\n\r\n")

    await eventually(lambda: bool(edge.server.server_state.connections))
    await eventually(lambda: not edge.server.server_state.connections)

    with pytest.raises(asyncio.IncompleteReadError):
        await reader.readexactly(50_000_000)


async def who_does_not_read(edge, more=b"", of=b"/little", then=b""):
    """The connection of a client whose kernel takes nearly nothing, of an answer that is no large one."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    client.connect(edge.address)
    edge.sockets.append(client)
    client.send(b"GET %b HTTP/1.1\r\n%b\r\n%b" % (of, more, then))
    name = client.getsockname()

    def found():
        return next((each for each in edge.server.server_state.connections if each.client == name), None)

    await eventually(lambda: found() is not None and found().is_unread)
    return found()


@pytest.mark.parametrize("more", [b"", b"connection: close\r\n"])
async def test_however_little_a_client_does_not_read_it_is_cut_off(edge, more):
    connection = await who_does_not_read(edge, more)
    assert 0 < connection.transport.get_write_buffer_size() < 60_000

    await eventually(lambda: not edge.server.server_state.connections)


@pytest.mark.parametrize("more", [b"", b"connection: close\r\n"])
async def test_who_does_not_read_gives_way_to_who_asks(edge, monkeypatch, more):
    monkeypatch.setattr(edge.protocol, "patience", 60.0)
    for _ in range(3):
        await who_does_not_read(edge, more)

    await edge.crowded()

    await eventually(lambda: len(edge.server.server_state.connections) == 3)
    assert not any(each.is_unread for each in edge.server.server_state.connections)


async def test_who_does_not_read_is_no_work(edge, monkeypatch):
    monkeypatch.setattr(edge.protocol, "patience", 60.0)
    slow = await who_does_not_read(edge, of=b"/pieces")
    assert len(edge.server.server_state.tasks) == edge.admission.work.most
    reader, writer = await edge.connect()

    writer.write(GET)

    assert (await read(reader))[0] == 200
    assert slow.is_answering
    await edge.busy()
    writer.write(GET)
    assert (await read(reader))[0] == 503


async def test_a_stream_that_is_not_read_is_no_work_once(edge, monkeypatch):
    monkeypatch.setattr(edge.protocol, "patience", 60.0)
    slow = await who_does_not_read(edge, of=b"/stream")
    assert (slow.is_answering, edge.admission.onlookers) == (True, 1)
    await edge.busy()
    reader, writer = await edge.connect()

    writer.write(GET)
    assert (await read(reader))[0] == 503

    await asyncio.to_thread(edge.sockets[0].close)
    await eventually(lambda: edge.admission.onlookers == 0)
    await eventually(lambda: edge.admission.work.count == 1)


@pytest.mark.parametrize("at_once", [True, False])
async def test_behind_an_answer_that_is_not_read_nothing_is_worked_on(edge, monkeypatch, at_once):
    monkeypatch.setattr(edge.protocol, "patience", 60.0)
    again = GET.replace(b"/orders", b"/later")
    slow = await who_does_not_read(edge, then=again if at_once else b"")
    if not at_once:
        edge.sockets[0].send(again)
    reader, writer = await edge.connect()

    for _ in range(3):
        writer.write(GET)
        assert (await read(reader))[0] == 200
    assert not edge.asked.is_set()
    assert slow.may_give_way

    reading = asyncio.ensure_future(asyncio.to_thread(_read_all, edge.sockets[0]))
    await edge.asked.wait()
    edge.may_answer.set()
    assert (await reading).endswith(b'{"late":true}')


def _read_all(client):
    client.settimeout(30)
    told = b""
    while not told.endswith(b"}"):
        told += client.recv(65_536)
    return told


async def test_who_reads_slowly_goes_last(edge, monkeypatch):
    monkeypatch.setattr(edge.protocol, "patience", 60.0)
    slow = await who_does_not_read(edge)
    for _ in range(3):
        reader, writer = await edge.connect()
        writer.write(GET)
        assert (await read(reader))[0] == 200

    assert not slow.transport.is_closing()


async def test_at_the_end_what_is_here_or_on_its_way_is_answered(edge, monkeypatch):
    monkeypatch.setattr(wire, "LINGER", 0.5)
    edge.admission.work.most = 10
    used, idle = await edge.connect(), await edge.connect()
    used[1].write(POST + b"content-length: 1\r\n\r\na")
    assert (await read(used[0]))[0] == 200
    busy = await edge.busy()

    edge.server.should_exit = True
    await eventually(lambda: not edge.server.servers[0].is_serving())
    for _, writer in (used, idle):
        writer.write(POST + b"content-length: 1\r\n\r\na")

    for reader, _ in (used, idle):
        status, headers, _ = await read(reader)
        assert (status, headers["connection"]) == (200, "close")
        assert await reader.read() == b""
    edge.may_answer.set()
    status, headers, _ = await read(busy[0])
    assert (status, headers["connection"]) == (200, "close")


@pytest.mark.parametrize("sent", [b"", b"GET /ord", POST + b"content-length: 5\r\n\r\nab"])
async def test_at_the_end_nobody_waits_long_for_a_request_that_does_not_come(edge, sent, monkeypatch):
    monkeypatch.setattr(wire, "LINGER", 0.05)
    monkeypatch.setattr(wire, "LAST_PATIENCE", 0.1)
    reader, writer = await edge.connect()
    writer.write(sent)
    await eventually(lambda: bool(edge.server.server_state.connections))

    edge.server.should_exit = True

    async with asyncio.timeout(5):
        assert await reader.read() == b""


class Stalled:
    """A connection and its transport, with so many bytes for a client who does not read."""

    def __init__(self, size):
        self.transport = self
        self.size = size

    @property
    def left(self):
        return self.size

    def abort(self):
        self.size = 0


def test_of_those_who_do_not_read_the_first_are_cut_off_when_there_is_no_more_room():
    admission = Admission(unread=10)
    connections = [Stalled(size) for size in (4, 3, 3, 6, 11)]
    first, second, third, fourth, large = connections

    for each in (first, second, third):
        admission.stalls(each)
    admission.reads(second)
    admission.stalls(fourth)
    sizes = [each.size for each in connections]
    admission.stalls(large)

    assert sizes == [0, 3, 3, 6, 11]
    assert [each.size for each in connections] == [0, 3, 0, 0, 0]
    assert admission._stalled == {}


@pytest.mark.parametrize(("of", "behind"), [(b"/pieces", BEHIND), (b"/little", 0)])
async def test_of_an_answer_that_is_not_whole_more_is_counted_than_is_written(edge, monkeypatch, of, behind):
    monkeypatch.setattr(edge.protocol, "patience", 60.0)
    slow = await who_does_not_read(edge, of=of)
    written = slow.transport.get_write_buffer_size()
    assert slow.left == written + behind

    edge.admission.unread = slow.left - 1
    edge.admission.stalls(slow)
    assert slow.transport.is_closing()


async def test_whoever_does_not_read_is_counted_until_they_do(edge, monkeypatch):
    monkeypatch.setattr(edge.protocol, "patience", 60.0)
    reader, writer = await edge.connect()
    writer.write(GET.replace(b"/orders", b"/much"))
    await eventually(lambda: bool(edge.admission._stalled))

    await reader.readexactly(50_000_000)

    await eventually(lambda: not edge.admission._stalled)


def test_one_user_has_not_all_the_room_of_those_who_look_on():
    admission = Admission(waiting=3, of_one=1)

    with admission.looking_on_as("ann", "here"):
        with pytest.raises(Crowded), admission.looking_on_as("ann", "here"):
            pass
        with admission.looking_on_as("bob", "there"):
            assert admission.onlookers == 2

    with admission.looking_on_as("ann", "here"):
        pass
    assert (admission.onlookers, admission._by_user, admission._by_place) == (0, {}, {})


@pytest.mark.parametrize(("places", "looking"), [("a" * 12, "a" * 6), ("a" * 7 + "b" * 7 + "c" * 9, "aaaaaabbbcc")])
def test_of_one_place_whoever_they_are_no_more_look_on_than_places_are_left_for_others(places, looking):
    admission = Admission(waiting=12)
    with contextlib.ExitStack() as stack:
        found = ""
        for user, place in enumerate(places):
            with contextlib.suppress(Crowded):
                stack.enter_context(admission.looking_on_as(user, place))
                found += place
        assert found == looking
        assert admission.onlookers == len(looking)

    assert (admission.onlookers, admission._by_user, admission._by_place) == (0, {}, {})
    with admission.looking_on_as("ann", "a"):
        pass


def test_of_one_user_who_looks_on_twice_once_may_end():
    admission = Admission(waiting=9, of_one=2)

    with admission.looking_on_as("ann", "here"):
        with admission.looking_on_as("ann", "here"):
            pass
        assert admission._by_user == {"ann": 1}


def test_nobody_waits_for_news_where_too_many_do():
    admission = Admission(waiting=1)

    with admission.looking_on(), pytest.raises(Crowded), admission.looking_on():
        pass

    assert admission.onlookers == 0
    with admission.looking_on():
        pass


async def test_what_would_not_end_by_itself_ends_with_the_process():
    admission = Admission()

    async def look_on():
        async with admission.until_the_end():
            await asyncio.Event().wait()

    looking = asyncio.create_task(look_on())
    await asyncio.sleep(0)
    admission.end()

    for late in (looking, look_on()):
        with pytest.raises(TimeoutError):
            await late


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /orders HTTP/1.1\r\nhost: x",
        b"GET /orders HTTP/1.0\r\n\r\n",
        b"GET /readyz HTTP/1.1\r\n\r\n",
        POST + b"content-length: 3\r\n\r\nab",
        POST + b"content-length: x\r\n\r\nab",
        POST + b"content-length: 1\r\n\r\nab",
        POST + b"transfer-encoding: chunked\r\n\r\n",
        b"\r\n\r\n",
    ],
)
def test_what_is_unusual_is_not_refused_at_a_glance(sent):
    assert at_a_glance(sent) is None


def test_a_refusal_echoes_nothing_that_breaks_its_form():
    answer = at_a_glance(b'GET /"\\\xff HTTP/1.1\r\nx-request-id: a"b\r\n\r\n')

    head, _, body = answer.partition(b"\r\n\r\n")
    told = json.loads(body)
    assert told["instance"] == '/"\\\ufffd'
    assert told["request_id"].startswith("req_")
    assert f"x-request-id: {told['request_id']}".encode() in head
    assert f"content-length: {len(body)}".encode() in head
