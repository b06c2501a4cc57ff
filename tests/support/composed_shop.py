"""The shop of compose.yaml, from an image that is built of this checkout, as a person would bring it up."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ordermill.ports import HOST, find_free, start_of
from ordermill.probes import answers_ok
from tests.support.composed import ROOT
from tests.support.eventually import eventually
from tests.support.running_shop import mails_at

STARTS_WITHIN = 300.0


class ComposedShop:
    """A composed shop of its own: its project, its volumes, its published ports."""

    def __init__(self, folder: Path) -> None:
        self.port = find_free(None, start_of(folder), set())
        mailbox = find_free(None, start_of(folder), {self.port})
        self.url = f"http://{HOST}:{self.port}"
        self.mailbox = f"http://{HOST}:{mailbox}"
        self._project = f"ordermill-test-{os.getpid()}"
        told = {"ORDERMILL_TAG": "under-test", "ORDERMILL_PORT": self.port, "ORDERMILL_MAILBOX_PORT": mailbox}
        self._environment = {**os.environ, **{name: str(value) for name, value in told.items()}}

    async def compose(self, *words: str) -> str:
        """What a command of compose says on stdout. Raises RuntimeError with its stderr when it fails."""
        program = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
        child = await asyncio.create_subprocess_exec(
            *program, "--project-name", self._project, *words, cwd=ROOT, env=self._environment, **pipes
        )
        out, err = await asyncio.wait_for(child.communicate(), STARTS_WITHIN)
        if child.returncode:
            message = f"{' '.join(words)} ended with {child.returncode}: {err.decode()[-4000:]}"
            raise RuntimeError(message)
        return out.decode()

    async def up(self, *words: str) -> None:
        """Returns when the door is open."""
        await self.compose("up", "--detach", *words)
        await eventually(answers_ok(self.port, "/readyz"))

    async def command(self, *words: str) -> str:
        """What an `ordermill` command says, run as compose.yaml says."""
        return await self.compose("run", "--rm", "-T", "cli", *words)

    async def mails(self, address: str) -> list[dict[str, Any]]:
        """The newest mails to an address, with the key that the mailbox has in a file."""
        key = await self.compose("exec", "-T", "mailbox", "cat", "/run/secrets/ORDERMILL_MAILBOX_KEY")
        return await mails_at(self.mailbox, key.strip(), address)

    async def come_again(self) -> None:
        """Everything ends and is started anew, with more workers than before."""
        await self.compose("down")
        await self.up("--scale", "order_service_worker=3")


@asynccontextmanager
async def a_composed_shop(folder: Path) -> AsyncIterator[ComposedShop]:
    """A composed shop, ready; it ends with the block, and nothing is left of it."""
    shop = ComposedShop(folder)
    await shop.compose("build", "--quiet")
    try:
        await shop.up()
        yield shop
    finally:
        await shop.compose("down", "--volumes", "--remove-orphans")
