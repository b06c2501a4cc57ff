"""An answer as its bytes come: whole, in pieces, without an end, and wrong."""

import asyncio

import pytest

from gateway.answer import FOR_NOBODY, HELD_AT_MOST, Answer, Broken, Lost

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def held():
    return []


@pytest.fixture
def answer(held):
    return Answer("GET", held.append)


async def read(answer):
    await answer.head()
    return b"".join([piece async for piece in answer.pieces(5)])


async def test_an_answer_that_comes_byte_by_byte_is_the_same(answer):
    for byte in OK + b"Content-Length: 2\r\nETag: 1\r\n\r\nok":
        answer.feed(bytes([byte]))

    assert (await read(answer), answer.status, answer.headers) == (
        b"ok",
        200,
        [(b"content-length", b"2"), (b"etag", b"1")],
    )
    assert answer.is_whole
    assert answer.keeps_connection


async def test_chunks_are_put_together(answer):
    answer.feed(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")

    assert [await read(answer), answer.keeps_connection] == [b"abc", True]


async def test_an_answer_without_a_length_ends_with_its_connection(answer):
    answer.feed(OK + b"\r\nall")
    assert not answer.is_whole
    answer.end()

    assert [await read(answer), answer.keeps_connection] == [b"all", False]


async def test_an_answer_that_ends_too_early_is_lost_after_what_came_of_it(answer):
    answer.feed(OK + b"Content-Length: 9\r\n\r\nhalf")
    answer.end()

    pieces = answer.pieces(5)
    assert await anext(pieces) == b"half"
    with pytest.raises(Lost):
        await anext(pieces)


async def test_who_waits_for_an_answer_is_told_that_there_will_be_none(answer):
    waiting = asyncio.ensure_future(answer.head())
    await asyncio.sleep(0)
    answer.end()

    with pytest.raises(Lost):
        await waiting


async def test_an_interim_answer_is_not_the_answer(answer):
    answer.feed(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    assert not answer.is_whole
    answer.feed(b"HTTP/1.1 204 No Content\r\nETag: 1\r\n\r\n")

    assert [await read(answer), answer.status, answer.headers] == [b"", 204, [(b"etag", b"1")]]
    assert answer.keeps_connection


HEADS = [b"Content-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"]


@pytest.mark.parametrize("head", [*HEADS, b"Content-Length: 0\r\n\r\n"])
async def test_the_answer_to_head_is_whole_with_its_head(held, head):
    for pieces in ([OK + head], [bytes([byte]) for byte in OK + head]):
        answer = Answer("HEAD", held.append)
        for piece in pieces:
            assert not answer.is_whole
            answer.feed(piece)

        assert [await read(answer), answer.is_whole, answer.keeps_connection] == [b"", True, True]


@pytest.mark.parametrize(
    "said",
    [
        *(HEADS[0] + body for body in (b"hello", b"h", b"\r\n\r\n\n")),
        *(HEADS[1] + body for body in (b"1\r\na\r\n0\r\n\r\n", b"0\r\n\r\n", b"1\r\n", b"1", b"\r\n")),
        b"Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"Content-Length: 5\r\nConnection: close\r\n\r\n",
        b"\r\n",
    ],
)
async def test_the_connection_of_head_is_not_trusted_once_anything_came_behind_the_head(held, said):
    answer = Answer("HEAD", held.append)
    answer.feed(OK + said)

    assert [await read(answer), answer.is_whole, answer.keeps_connection] == [b"", True, False]


@pytest.mark.parametrize(
    "said",
    [
        b"220 mail.example ESMTP\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        OK + b"a b: c\r\n\r\n",
        OK + b"a: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
async def test_what_is_no_answer_is_broken(answer, said):
    answer.feed(said)

    with pytest.raises(Broken):
        await read(answer)
    assert not answer.keeps_connection


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\n", b"garbage"])
async def test_what_comes_behind_an_answer_is_nobodys(answer, more):
    answer.feed(OK + b"Content-Length: 2\r\n\r\nok" + more)

    assert [await read(answer), answer.keeps_connection] == [b"ok", False]


async def test_an_answer_that_comes_faster_than_it_is_taken_is_held_up(answer, held):
    answer.feed(OK + b"Content-Length: 999999\r\n\r\n")
    answer.feed(b"x" * HELD_AT_MOST)
    assert held == []
    answer.feed(b"x")
    answer.feed(b"x")
    assert held == [True]

    assert len(await anext(answer.pieces(5))) == HELD_AT_MOST + 2
    assert held == [True, False]


async def test_an_answer_that_falls_silent_is_not_waited_for(answer):
    answer.feed(OK + b"Content-Length: 9\r\n\r\n")

    with pytest.raises(TimeoutError):
        await anext(answer.pieces(0.01))


STREAM = b"Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_short_answer_is_read_for_its_connections_sake_when_nobody_wants_it(answer):
    answer.leave(ZeroDivisionError())
    answer.feed(OK + b"Content-Length: 2\r\n\r\nok")

    assert [await read(answer), answer.is_whole, answer.keeps_connection] == [b"ok", True, True]


@pytest.mark.parametrize("leaves_first", [True, False])
async def test_a_stream_that_nobody_wants_is_over(answer, leaves_first):
    if leaves_first:
        answer.leave(ZeroDivisionError())
    answer.feed(OK + STREAM)
    if not leaves_first:
        answer.leave(ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        await read(answer)
    assert not answer.keeps_connection


async def test_a_long_answer_that_nobody_wants_is_over(answer):
    body = bytes(FOR_NOBODY + 1)
    answer.feed(OK + b"Content-Length: %d\r\n\r\n" % (len(body) + 1))
    answer.leave(ZeroDivisionError())
    answer.feed(body)

    with pytest.raises(ZeroDivisionError):
        await read(answer)
    assert not answer.keeps_connection
