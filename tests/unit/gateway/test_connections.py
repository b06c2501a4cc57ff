"""Which connection a request gets, and which connections are closed."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from chassis.unread import BEHIND
from gateway import connections as gateway_connections
from gateway.answer import HELD_AT_MOST, READ_AT_ONCE
from gateway.connections import KEPT_FOR, Connections, Unreached
from tests.support.eventually import eventually
from tests.support.gateway import talking

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def a_service_that_says(*sayings):
    """For each request the next saying; then it ends the connection."""

    async def converse(reader, writer):
        for said in sayings:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
        await reader.read()

    return talking(converse)


@asynccontextmanager
async def kept(clock, *sayings):
    async with a_service_that_says(*sayings) as url:
        connections = Connections(url, clock=clock)
        yield connections
        connections.close()


async def asked(connections, method="GET"):
    """One request and its answer; the connection is given back."""
    connection = await connections.take()
    answer = connection.ask(method, b"%b / HTTP/1.1\r\n\r\n" % method.encode())
    await answer.head()
    connections.give_back(connection)
    return connection


async def test_a_connection_is_used_again(clock):
    async with kept(clock, OK, OK) as connections:
        assert await asked(connections) is await asked(connections)


async def test_one_that_is_to_be_new_is_new(clock):
    async with kept(clock, OK) as connections:
        used = await asked(connections)
        new = await connections.take(new=True)
        new.close()
        assert new is not used


async def test_the_one_that_was_used_last_is_used_first(clock):
    async with kept(clock, OK, OK) as connections:
        first, second = await connections.take(), await connections.take()
        for connection in (first, second):
            await connection.ask("GET", b"GET / HTTP/1.1\r\n\r\n").head()
            connections.give_back(connection)
        assert await connections.take() is second


async def test_a_connection_without_a_whole_answer_is_closed(clock):
    async with kept(clock, OK[:-1]) as connections:
        connection = await asked(connections)
        assert not connection.is_open
        assert await connections.take() is not connection


async def test_one_that_the_service_does_not_keep_is_closed(clock):
    async with kept(clock, OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)) as connections:
        assert not (await asked(connections)).is_open


async def test_one_that_the_service_closed_meanwhile_is_not_used(clock):
    async def answer_once(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)

    async with talking(answer_once) as url:
        connections = Connections(url)
        old = await asked(connections)
        await eventually(lambda: not old.is_open)
        new = await connections.take()
        new.close()
        assert new is not old


async def test_one_on_which_the_service_speaks_unasked_is_closed(clock):
    async with kept(clock, OK + b"HTTP/1.1 200 OK\r\n") as connections:
        assert not (await asked(connections)).is_open

    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"!")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await reader.read()

    async with talking(speak) as url:
        connection = await asked(Connections(url))
        connection.write(b"!")
        await eventually(lambda: not connection.is_open)


HEAD = OK[:-2]


async def test_the_connection_of_head_is_used_again_when_it_has_rested(clock):
    async with kept(clock, HEAD, OK) as connections:
        first = await asked(connections, "HEAD")
        other = await connections.take()
        assert other is not first
        other.close()

        await eventually(lambda: bool(connections._idle))
        assert await asked(connections) is first


async def test_a_body_that_comes_late_after_head_is_nobodys_answer(monkeypatch):
    monkeypatch.setattr(gateway_connections, "RESTS_FOR", 0.2)
    spoke = asyncio.Event()

    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake")
        spoke.set()
        await reader.read()

    async with talking(speak) as url:
        connections = Connections(url)
        connection = await asked(connections, "HEAD")
        await spoke.wait()
        # However long this process stood still: what has come is read first.
        asyncio.get_running_loop().call_soon(time.sleep, 0.3)
        await eventually(lambda: not connections._resting)

        assert not connection.is_open
        assert not connections._idle


async def test_one_that_rests_is_closed_at_the_end(clock):
    async with kept(clock, HEAD) as connections:
        connection = await asked(connections, "HEAD")
        assert connection.is_open
    assert not connection.is_open


async def test_what_nobody_used_for_long_is_closed(clock):
    async with kept(clock, OK, OK) as connections:
        busy = await connections.take()
        old = await asked(connections)
        clock.now = KEPT_FOR + 1
        await busy.ask("GET", b"GET / HTTP/1.1\r\n\r\n").head()
        connections.give_back(busy)
        assert [old.is_open, busy.is_open] == [False, True]


async def test_all_are_closed_at_the_end(clock):
    async with kept(clock, OK) as connections:
        connection = await asked(connections)
    assert not connection.is_open
    connection.write(b"nobody hears it")


async def test_an_answer_that_is_not_read_is_not_taken_from_the_service_either(clock):
    taken = []

    async def much(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 30_000_000)
        for _ in range(300):
            writer.write(b"x" * 100_000)
            await writer.drain()
            taken.append(100_000)

    async with talking(much) as url:
        connections = Connections(url)
        connection = await connections.take()
        answer = connection.ask("GET", b"GET / HTTP/1.1\r\n\r\n")
        await answer.head()
        size = 0
        await eventually(lambda: answer._is_held)
        assert sum(taken) < 30_000_000
        assert HELD_AT_MOST < sum(map(len, answer._pieces)) <= HELD_AT_MOST + READ_AT_ONCE
        async for piece in answer.pieces(5):
            size += len(piece)
        connections.give_back(connection)

    assert size == 30_000_000


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://127.0.0.1:1"])
async def test_nobody_there_is_said_to_be_unreached(url):
    with pytest.raises(Unreached):
        await Connections(url).take()


async def test_who_does_not_accept_in_time_is_unreached(monkeypatch):
    async def never(*_args, **_options):
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
    with pytest.raises(Unreached):
        await Connections("http://127.0.0.1:1", connect_within=0.01).take()


async def test_what_could_not_be_heard_while_this_process_stood_still_was_not_late(clock):
    async with a_service_that_says(OK) as url:
        connections = Connections(url, connect_within=0.2, clock=clock)
        asyncio.get_running_loop().call_soon(time.sleep, 0.4)

        connections.give_back(await connections.take())

        connections.close()


def test_what_is_read_ahead_of_a_client_is_what_counts_when_it_does_not_read():
    """A piece that is about to be written, and what waits behind it."""
    assert 2 * (HELD_AT_MOST + READ_AT_ONCE) <= BEHIND


def test_the_name_in_the_log_holds_no_password():
    connections = Connections("http://user:secret@order:8000/shop/")
    assert [connections.name, connections.base] == ["order:8000", b"/shop"]
