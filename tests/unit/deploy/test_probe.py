"""The image's health check, against a process that is ready, one that is not, and nobody."""

import asyncio
import sys

import pytest

from ordermill.ports import HOST, find_free
from tests.support.composed import ROOT


@pytest.fixture
def probe():
    """Exit code and words, as the image runs it."""

    async def ask(port):
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
        program = (sys.executable, "-IS", str(ROOT / "deploy/probe.py"), str(port))
        child = await asyncio.create_subprocess_exec(*program, **pipes)
        out, _ = await child.communicate()
        return child.returncode, out.decode()

    return ask


@pytest.mark.parametrize(("status", "code"), [("200 OK", 0), ("503 Service Unavailable", 1)])
async def test_it_says_what_the_process_says(probe, status, code):
    async def answer(reader, writer):
        asked.append(await reader.readline())
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nwords".encode())
        writer.close()

    asked = []
    async with await asyncio.start_server(answer, HOST, 0) as server:
        said = await probe(server.sockets[0].getsockname()[1])

    assert said == (code, f"HTTP/1.1 {status} words\n")
    assert asked == [b"GET /readyz HTTP/1.1\r\n"]


async def test_where_nobody_listens_nothing_is_ready(probe):
    code, _ = await probe(find_free(None, 20_000, set()))

    assert code == 1
