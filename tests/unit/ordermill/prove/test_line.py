"""A line to a server that echoes: what goes through, and what a fault does to it."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from ordermill.ports import HOST, find_free
from ordermill.prove.line import Line


@pytest.fixture
async def echo():
    """The port of a server that sends back what it hears."""
    writers = []

    async def answer(reader, writer):
        writers.append(writer)
        with suppress(ConnectionError):
            while piece := await reader.read(100):
                writer.write(piece)

    server = await asyncio.start_server(answer, HOST, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in writers:
        writer.transport.abort()


@pytest.fixture
async def line(echo):
    async with Line(find_free(None, 21_000, set()), echo) as line:
        yield line


@asynccontextmanager
async def connected(line):
    reader, writer = await asyncio.open_connection(HOST, line._near)
    yield reader, writer
    writer.transport.abort()


async def says(connection, word=b"hello"):
    reader, writer = connection
    writer.write(word)
    async with asyncio.timeout(5):
        return await reader.read(100)


async def is_silent(connection):
    try:
        async with asyncio.timeout(0.1):
            await connection[0].read(100)
    except TimeoutError:
        return True
    return False


async def test_everything_goes_through_in_both_directions(line):
    async with connected(line) as connection:
        assert await says(connection) == b"hello"
        assert len(line.flows) == 1


async def test_a_connection_that_is_cut_is_reset_and_a_new_one_is_possible(line):
    async with connected(line) as first, connected(line) as second:
        assert (await says(first), await says(second)) == (b"hello", b"hello")

        line.cut(lambda flows: flows[:1])

        with pytest.raises(ConnectionResetError):
            await says(first)
        assert await says(second) == b"hello"
    async with connected(line) as third:
        assert await says(third) == b"hello"


async def test_between_sockets_it_is_the_same_but_that_a_cut_is_an_end(tmp_path):
    near, far = tmp_path / "near", tmp_path / "far"
    async with await asyncio.start_unix_server(_answer, far), Line(near, far) as line:
        connection = await asyncio.open_unix_connection(near)
        assert await says(connection) == b"hello"

        line.cut(tuple)

        assert await connection[0].read(100) == b""
        connection[1].close()


async def _answer(reader, writer):
    with suppress(ConnectionError):
        while piece := await reader.read(100):
            writer.write(piece)
    writer.close()


async def test_what_is_held_arrives_late_and_whoever_connects_waits(line):
    async with connected(line) as first:
        await says(first)
        line.hold()
        first[1].write(b"late")
        assert await is_silent(first)

        async with connected(line) as second:
            second[1].write(b"later")
            assert await is_silent(second)

            line.resume()

            assert await first[0].read(100) == b"late"
            assert await second[0].read(100) == b"later"


async def test_a_forgotten_connection_is_half_open_until_it_is_ended(line):
    async with connected(line) as first, connected(line) as second:
        assert (await says(first), await says(second)) == (b"hello", b"hello")

        [forgotten] = line.forget(lambda flows: flows[:1])

        first[1].write(b"nobody hears it")
        assert await is_silent(first)
        assert await says(second) == b"hello"
        forgotten.end()
        with pytest.raises(ConnectionResetError):
            await first[0].read(100)


async def test_a_slow_line_brings_everything(line):
    async with connected(line) as connection:
        line.lag = 0.01

        assert await says(connection) == b"hello"


async def test_without_a_server_whoever_connects_is_reset():
    async with Line(find_free(None, 21_000, set()), 1) as line, connected(line) as connection:
        with pytest.raises(ConnectionResetError):
            await connection[0].read(100)
