"""What the README and docs/http.md tell a new user to type is typed here, and answered as they say."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.architecture.documents import FOLLOW, HTTP, README, ROOT, fences, typed
from tests.support.running_shop import RunningShop

END = "that is all"
AGAIN = 15
CHANGING = (
    (r"(usr|ord)_[0-9a-z]{26}", r"\1_…"),
    (r"\b[0-9A-Z]{5}-[0-9A-Z]{5}\b", "NUMBER"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"'\d\d\.\d{3}Z'", "SECONDS"),
    (r"\r", ""),
)
LATER = ("sleep 1;", "orders trace")  # what goes on after the answer: a reader looks again


class Terminal:
    """A shell in which one line is typed after the other."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def types(self, command: str) -> str:
        """What the shell prints until it is done with a command."""
        source, sink = self._process.stdout, self._process.stdin
        assert source
        assert sink
        sink.write(f"{command}\necho '{END}'\n".encode())
        said = await asyncio.wait_for(source.readuntil(f"{END}\n".encode()), 60)
        return said.decode().removesuffix(f"{END}\n")


@pytest.fixture
async def terminal(shop: RunningShop, tmp_path: Path) -> AsyncIterator[Terminal]:
    """In a folder with the program where the README says that it is."""
    program = tmp_path / ".venv/bin/ordermill"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ordermill "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "ORDERMILL_HOME": str(shop.home), "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
    process = await asyncio.create_subprocess_exec(
        "bash", cwd=tmp_path, env=environment, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    yield Terminal(process)
    process.kill()
    await process.communicate()


@pytest.mark.parametrize("document", [README, HTTP], ids=lambda path: path.name)
async def test_a_new_user_types_what_a_document_says_and_sees_what_it_says(terminal: Terminal, document: Path):
    # given
    steps = typed(document)
    assert len(steps) > 10

    # then
    for step in steps:
        answer = await terminal.types(step.command)
        for _ in range(AGAIN if any(word in step.command for word in LATER) else 0):
            if _lasting(answer) == _lasting(step.answer):
                break
            answer = await terminal.types(step.command)
        assert _lasting(answer) == _lasting(step.answer), step.command


def _lasting(text: str) -> str:
    """The part of an answer that is the same each time."""
    for pattern, word in CHANGING:
        text = re.sub(pattern, word, text)
    return text.strip()


async def test_an_order_goes_the_way_that_is_followed(shop: RunningShop):
    # given
    shown, *_ = fences(FOLLOW.read_text(), "text")
    way = sorted(re.split(r"  +", line)[2:4] for line in shown.splitlines()[1:])

    # when
    create = ("create", "--sku", "MUG-RED:2", "--token", "tok_ok", "--wait", "10", "-o", "json")
    order = json.loads(await shop.command("orders", *create))["id"]

    # then
    async def went() -> list[list[str]]:
        timeline = json.loads(await shop.command("orders", "trace", order, "-o", "json"))["timeline"]
        return sorted([step["service"], step["what"]] for step in timeline)

    for _ in range(AGAIN):
        if (seen := await went()) == way:
            break
    assert seen == way
