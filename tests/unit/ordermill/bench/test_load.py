"""The load generator before a server of a few lines: what it sends, what it counts, from when its times count."""

import asyncio
import json
import sys
import time
from collections import Counter

import pytest

from chassis.ids import new_id, typeid
from ordermill.bench import load
from ordermill.bench.connection import Connection, Order, end_of
from ordermill.bench.load import Load
from tests.support.eventually import eventually

HEADS = ["Host: shop\r\nAuthorization: Bearer first\r\n", "Host: shop\r\nAuthorization: Bearer second\r\n"]


class Server:
    """Answers each request with what it is told to; an empty answer cuts the connection."""

    def __init__(self):
        self.requests = []
        self.answer = lambda _request: accepted()
        self.at_once = self.most_at_once = 0

    async def serve(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0])
                body = await reader.readexactly(length)
                self.requests.append(request := (head.decode(), body.decode()))
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                await asyncio.sleep(0)
                self.at_once -= 1
                if not (answer := self.answer(request)):
                    break
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        writer.close()


def answered(status, body):
    return f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def accepted(order_id=None):
    return answered(201, json.dumps({"id": order_id or typeid("ord", new_id())}))


@pytest.fixture
async def server():
    """It has its port in ``port``."""
    serving = Server()
    listening = await asyncio.start_server(serving.serve, "127.0.0.1")
    serving.port = listening.sockets[0].getsockname()[1]
    yield serving
    listening.close()


@pytest.fixture
async def started(server, monkeypatch):
    """A generator for this server; its connections are closed in the end."""
    monkeypatch.setattr(load, "CONNECTIONS", 3)
    monkeypatch.setattr(load, "REFUSED_RESTS", 0.001)
    made = []

    def start(**more):
        job = {"port": server.port, "heads": HEADS, "bodies": ["one", "three"], "marked": "", **more}
        made.append(Load(job))
        return made[-1]

    yield start
    for each in made:
        for connection in each._idle:
            connection._transport.close()
    await asyncio.sleep(0)


async def test_each_client_has_one_order_under_way_and_each_order_a_key_and_a_customer(server, started):
    figures = await started().phase(orders=20, clients=4)

    keys = {head.partition("Idempotency-Key: ")[2].split("\r")[0] for head, _ in server.requests}
    assert (figures["accepted"], figures["statuses"], len(keys)) == (20, {"201": 20}, 20)
    assert server.most_at_once <= 4
    assert Counter("first" if "Bearer first" in head else "second" for head, _ in server.requests) == {
        "first": 10, "second": 10,
    }  # fmt: skip
    assert {body for _, body in server.requests} == {"one", "three"}
    assert (figures["cut"], figures["unanswered"]) == (0, 0)


async def test_an_open_loop_sends_at_its_rate_and_counts_from_when_it_meant_to(started, monkeypatch):
    generator, dues = started(), []
    sent = generator._ask
    monkeypatch.setattr(
        generator, "_ask", lambda connection, order: (dues.append(order.due), sent(connection, order))[1]
    )

    figures = await generator.phase(orders=9, rate=1_000.0)

    assert [round(due - figures["began"], 6) for due in dues] == [number / 1_000 for number in range(9)]
    assert figures["accepted"] == 9


async def test_what_waited_for_a_connection_waited_for_the_shop():
    generator = Load({"port": 1, "heads": HEADS, "bodies": ["{}"], "marked": ""})
    connection = Connection(generator)

    generator.answered(connection, Order(1, time.monotonic() - 5), accepted())

    assert generator.tally.latencies[0] >= 5


async def test_a_refusal_is_counted_and_is_no_accepted_order(server, started):
    refusals = [answered(503, "")] * 3
    server.answer = lambda _: refusals.pop() if refusals else accepted()

    figures = await started().phase(orders=10, clients=2)

    assert (figures["accepted"], figures["statuses"]) == (7, {"503": 3, "201": 7})


async def test_a_cut_connection_is_counted_and_nobody_waits_for_its_answer(server, started, monkeypatch):
    monkeypatch.setattr(load, "PATIENCE", 0.05)
    server.answer = lambda _: b""

    figures = await started().phase(orders=5, clients=2)

    assert (figures["accepted"], figures["cut"], figures["unanswered"]) == (0, 2, 0)
    assert figures["post_ms"] is None


async def test_marked_orders_are_kept_with_their_key_and_customer(server, started):
    ids = iter([f"ord_{'0' * 25}{letter}" for letter in "abcd"])
    server.answer = lambda _: accepted(next(ids))

    figures = await started(marked="bd").phase(orders=4, clients=1)

    assert [order_id[-1] for order_id in figures["marked"]] == ["b", "d"]
    assert [(key.rpartition("-")[2], customer) for _, key, customer in figures["marked"].values()] == [
        ("2", 0), ("4", 0),
    ]  # fmt: skip


async def test_each_second_order_is_cancelled_by_who_placed_it(server, started):
    order_id = typeid("ord", new_id())
    server.answer = lambda asked: answered(202, "{}") if "/cancel" in asked[0] else accepted(order_id)

    figures = await started(cancel_each=2).phase(orders=4, clients=2)

    cancels = [head for head, _ in server.requests if "/cancel" in head]
    assert (figures["accepted"], figures["cancels"]) == (4, {"202": 2})
    assert all(head.startswith(f"POST /api/v1/orders/{order_id}/cancel ") for head in cancels)
    assert all("Bearer first" in head and "Idempotency-Key" not in head for head in cancels)


@pytest.mark.parametrize(
    ("answer", "length"),
    [
        (b"HTTP/1.1 201 C", 0),
        (b"HTTP/1.1 201 C\r\ncontent-length: 2\r\n\r\n{", 0),
        (b"HTTP/1.1 201 C\r\nContent-Length: 2\r\n\r\n{}and more", 38 + 1),
        (b"HTTP/1.1 204 N\r\n\r\nmore", 18),
    ],
)
def test_an_answer_ends_where_it_says(answer, length):
    assert end_of(answer) == length


async def test_as_a_process_it_works_on_phases_and_takes_new_tokens_meanwhile(server):
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ordermill.bench.load", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )

    def tell(**line):
        child.stdin.write(json.dumps(line).encode() + b"\n")

    tell(port=server.port, heads=HEADS, bodies=["{}"], marked="")
    tell(orders=4, clients=2)
    await eventually(lambda: _are_sent(server, 4))
    tell(heads=["Host: shop\r\nAuthorization: Bearer third\r\n"])
    tell(orders=2, clients=2)
    await eventually(lambda: _are_sent(server, 6))
    child.stdin.close()
    said = [json.loads(line) async for line in child.stdout]
    await child.wait()

    assert [figures["accepted"] for figures in said if "began" in figures] == [4, 2]
    assert all("Bearer third" in head for head, _ in server.requests[4:])
    assert child.returncode == 0


async def _are_sent(server, count):
    return len(server.requests) == count
