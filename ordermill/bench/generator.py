"""The load generator seen from the bench: it is started, told what to do, and asked for what became of it."""

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from ordermill.bench.people import ORDERS_FOR, Customers
from ordermill.errors import Failure
from ordermill.process import argv_of
from ordermill.state import checkout

LONGEST_LINE = 1 << 26
Told = dict[str, Any]


class Generator:
    """A running load generator."""

    def __init__(self, child: Process) -> None:
        self._child = child
        self.pid = child.pid

    def tell(self, line: Told) -> None:
        if self._child.stdin:
            self._child.stdin.write(json.dumps(line).encode() + b"\n")

    async def phase(self, on_progress: Callable[[int], None], **phase: float) -> Told:
        """What became of so many orders. Raises Failure when the generator has ended before they have."""
        self.tell(phase)
        while self._child.stdout and (line := await self._child.stdout.readline()):
            told: Told = json.loads(line)
            if "began" in told:
                return told
            on_progress(told["accepted"])
        cause = "The load generator has ended before its time."
        raise Failure(cause, "Is a package missing? Try: python -m ordermill.bench.load </dev/null")


@asynccontextmanager
async def a_generator(
    port: int, people: Customers, bodies: Sequence[str], marked: str, cancel_each: int = 0
) -> AsyncIterator[Generator]:
    """A load generator in a process of its own, whose customers keep valid tokens. It ends with the block."""
    child = await asyncio.create_subprocess_exec(
        *argv_of("ordermill.bench.load"),
        stdin=PIPE, stdout=PIPE, limit=LONGEST_LINE, cwd=checkout(), start_new_session=True,
    )  # fmt: skip
    generator = Generator(child)
    job = {"port": port, "heads": people.heads, "bodies": bodies, "marked": marked, "cancel_each": cancel_each}
    generator.tell(job)
    renewing = asyncio.create_task(_renew(generator, people))
    try:
        yield generator
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        if child.stdin:
            child.stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), 5)
        if child.returncode is None:
            child.kill()
            await child.wait()


async def _renew(generator: Generator, people: Customers) -> None:
    while True:
        await asyncio.sleep(ORDERS_FOR)
        await people.renew()
        generator.tell({"heads": people.heads})
