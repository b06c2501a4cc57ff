"""A door to a server that answers with the bytes that it is told: what is an answer, and what is none."""

import asyncio
from contextlib import suppress

import pytest

from ordermill.ports import HOST
from ordermill.prove.door import Answer, Door
from tests.support.eventually import eventually

FINE = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"fine": 42}'


@pytest.fixture
def says():
    """What the server says to one request after the other, in pieces; it hangs up after None."""
    return []


@pytest.fixture
def heard():
    return []


@pytest.fixture
async def connected():
    return []


@pytest.fixture
async def door(says, heard, connected):
    async def answer(reader, writer):
        connected.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                heard.append(head + await reader.readexactly(length))
                for piece in says.pop(0):
                    if piece is None:
                        writer.transport.abort()
                        return
                    writer.write(piece)
                    await asyncio.sleep(0)

    server = await asyncio.start_server(answer, HOST, 0)
    async with Door(f"http://{HOST}:{server.sockets[0].getsockname()[1]}/api/v1") as door:
        yield door
    server.close()
    for writer in connected:
        writer.transport.abort()


async def test_a_request_is_whole_and_its_answer_too_however_it_is_cut_into_pieces(door, says, heard):
    says += [[bytes([byte]) for byte in FINE]]

    answer = await door.request("POST", "/orders", {"Idempotency-Key": "k1"}, {"a": 1})

    assert (answer.status_code, answer.json(), answer.text, answer.is_error) == (
        200,
        {"fine": 42},
        '{"fine": 42}',
        False,
    )
    assert b"".join(heard) == (
        b"POST /api/v1/orders HTTP/1.1\r\nHost: shop\r\nContent-Length: 8\r\nContent-Type: application/json\r\n"
        b'Idempotency-Key: k1\r\n\r\n{"a": 1}'
    )


async def test_a_connection_is_kept_and_two_requests_at_once_have_one_each(door, says, connected):
    says += [[FINE]] * 4

    await door.request("GET", "/", {})
    await door.request("GET", "/", {})
    assert len(connected) == 1

    await asyncio.gather(door.request("GET", "/", {}), door.request("GET", "/", {}))
    assert len(connected) == 2


async def test_an_answer_may_come_in_chunks_or_without_a_body(door, says):
    says += [
        [b"HTTP/1.1 503 Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n", b"0\r\n\r\n"],
        [b"HTTP/1.1 204 No Content\r\n\r\n"],
    ]

    refused = await door.request("GET", "/", {})

    assert (refused, refused.is_error) == (Answer(503, b"no"), True)
    assert await door.request("GET", "/", {}) == Answer(204, b"")


async def test_a_connection_that_its_server_wants_to_end_is_not_used_again(door, says, connected):
    says += [[FINE.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")], [FINE]]

    await door.request("GET", "/", {})
    await door.request("GET", "/", {})

    assert len(connected) == 2


@pytest.mark.parametrize("pieces", [[None], [FINE[:20], None], [FINE[:-1], None], [b"SSH-2.0-OpenSSH\r\n", None]])
async def test_what_is_cut_or_garbled_is_no_answer_and_the_next_request_has_another_connection(
    door, says, connected, pieces
):
    says += [pieces, [FINE]]

    with pytest.raises(ConnectionError):
        await door.request("GET", "/", {})

    assert (await door.request("GET", "/", {})).status_code == 200
    assert len(connected) == 2


async def test_a_kept_connection_that_ended_meanwhile_is_not_used(door, says, connected):
    says += [[FINE], [FINE]]
    await door.request("GET", "/", {})

    connected[0].transport.abort()
    await eventually(lambda: not door._idle)

    assert (await door.request("GET", "/", {})).status_code == 200


async def test_the_answer_to_somebody_who_has_gone_is_nobody_elses(door, says, connected):
    says += [[], [FINE]]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await door.request("GET", "/", {})

    assert (await door.request("GET", "/", {})).status_code == 200
    assert len(connected) == 2


async def test_where_nobody_listens_there_is_no_answer():
    async with Door(f"http://{HOST}:1") as door:
        with pytest.raises(OSError, match="Connect"):
            await door.request("GET", "/", {})
