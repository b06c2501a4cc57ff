"""Whoever answers a neighbour without end is not listened to without end."""

import asyncio
import gzip

import httpx2
import pytest

from chassis import neighbours
from chassis.boundary import Boundary
from chassis.neighbours import WORD, TooLong, at, behind
from gateway.proxy import Proxy
from tests.support.gateway import talking

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = b"10000\r\n" + b"x" * 65_536 + b"\r\n"


def answering(*pieces):
    """What is said to one question."""

    async def conversation(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.writelines(pieces)
        await writer.drain()

    return conversation


class Endless:
    """Never stops, and counts what it has got rid of."""

    sent = 0

    async def __call__(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        try:
            while True:
                writer.write(CHUNK)
                await writer.drain()
                self.sent += len(CHUNK)
        except OSError:
            return


async def drop_by_drop(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD)
    while not writer.is_closing():
        writer.write(b"1\r\nx\r\n")
        await asyncio.sleep(0.001)


async def test_an_answer_is_its_status_and_its_body():
    told = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\nset-cookie: a=b\r\n\r\n{}"
    async with talking(answering(told)) as url, at(url, most=WORD) as client:
        answer = await client.get("/")

    assert (answer.status_code, answer.json(), client.cookies) == (404, {}, httpx2.Cookies())
    with pytest.raises(httpx2.HTTPStatusError):
        answer.raise_for_status()


@pytest.mark.parametrize(("length", "is_read"), [(WORD, True), (WORD + 1, False)])
async def test_an_answer_has_as_many_bytes_as_it_may(length, is_read):
    told = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % length + b"x" * length
    async with talking(answering(told)) as url, at(url, most=WORD) as client:
        if is_read:
            assert len((await client.get("/")).content) == length
        else:
            with pytest.raises(TooLong):
                await client.get("/")


async def test_who_answers_without_end_is_not_read_to_the_end():
    endless = Endless()
    async with talking(endless) as url, at(url, most=WORD) as client:
        with pytest.raises(TooLong):
            await client.get("/")

    assert endless.sent < 32 << 20  # what the system takes of it, and nothing is ever asked for again


async def test_an_answer_that_comes_drop_by_drop_has_one_time_for_all_of_it():
    async with talking(drop_by_drop) as url, at(url, most=WORD, within=0.05) as client, asyncio.timeout(30):
        with pytest.raises(TimeoutError):
            await client.get("/")


async def test_a_short_answer_that_says_it_is_a_long_one_stays_short():
    bomb = gzip.compress(bytes(1 << 20))
    told = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb) + bomb
    async with talking(answering(told)) as url, at(url, most=WORD) as client:
        answer = await client.get("/")

    assert answer.content == bomb


async def test_who_is_asked_through_a_proxy_of_ours_has_the_same_bounds(monkeypatch):
    endless, proxied = Endless(), []
    monkeypatch.setattr(neighbours, "DOCUMENT", WORD)
    async with talking(endless) as url:
        proxy = Proxy(url)
        for edge in (proxy, Boundary(proxy, "gateway")):
            async with behind(edge, "order_service") as client:
                with pytest.raises(TooLong):
                    await client.get("/")
            proxied.append(endless.sent)
        await proxy.aclose()

    assert max(proxied) < 64 << 20


async def test_who_passes_a_question_on_has_as_long_for_the_answer(monkeypatch):
    monkeypatch.setattr(neighbours, "WITHIN", 0.05)

    async def slow(_scope, _receive, _send):
        await asyncio.Event().wait()

    async with behind(slow, "order_service") as client, asyncio.timeout(30):
        with pytest.raises(TimeoutError):
            await client.get("/")
