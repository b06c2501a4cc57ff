"""Commands inside the services: on a real PostgreSQL with every schema, with the settings of a container."""

import asyncio
import json
import os
import sys
from typing import Any, NamedTuple

import asyncpg
import pytest
from loguru import logger

from ordermill import cli

HEAR_CTRL_C = {"retry", "replay", "republish"}


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(autouse=True)
def the_log_is_nowhere_in_what_a_command_says():
    """Another file's test may have set up a log of a service, which goes to where commands speak."""
    logger.configure(handlers=[{"sink": sys.__stderr__}], extra={}, patcher=lambda _: None)


@pytest.fixture
def told(shop_database, tmp_path, monkeypatch):
    """The settings of a container: a service may reach its database, and there is no checkout with a running shop."""
    settings = {
        "ORDERMILL_HOME": str(tmp_path), "ORDERMILL_PROFILE": "local", "ORDERMILL_DATABASE_URL": shop_database,
        "ORDERMILL_BROKER_URL": "amqp://nobody/", "ORDERMILL_EDGE_KEY": "t",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return settings


async def started(*words: str, **given: Any) -> asyncio.subprocess.Process:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE) | given
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ordermill", *words, env=dict(os.environ), **pipes
    )


@pytest.fixture
def ordermill(told, capsys):
    """What a command says, with nobody at its keyboard. Those that hear Ctrl+C need a process of their own."""

    async def alone(*words: str) -> Said:
        process = await started(*words)
        out, err = await process.communicate()
        return Said(process.returncode or 0, out.decode(), err.decode())

    def here(*words: str) -> Said:
        with pytest.raises(SystemExit) as end:
            cli.main(list(words))
        return Said(int(end.value.code or 0), *capsys.readouterr())

    async def run(*words: str) -> Said:
        return await (alone(*words) if HEAR_CTRL_C & {*words} else asyncio.to_thread(here, *words))

    return run


@pytest.fixture
def ask(shop_database):
    """The rows of a statement, as tuples."""

    async def ask(question: str, *arguments: Any) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(shop_database)
        try:
            return [tuple(row) for row in await connection.fetch(question, *arguments)]
        finally:
            await connection.close()

    return ask
