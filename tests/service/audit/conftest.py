"""A database on which every story of a day has happened, made once; each test has a copy of its own."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest

from ordermill import cli
from ordermill.audit import Kind, Question, Told, Verdict, audit
from tests.support.database import a_copy, allow_changes, as_role
from tests.support.lively_shop import a_lively_shop
from tests.support.stories import a_day


@dataclass(frozen=True)
class Audited:
    """A copy of the database, and what an audit of it has to be told."""

    url: str
    orders: dict[str, UUID]
    told: list[Told]
    poisoned: tuple[UUID, ...]

    async def audit(self, **given) -> list[Verdict]:
        asked = {"kinds": frozenset(Kind), "told": self.told, "poisoned": self.poisoned} | given
        return await audit(as_role(self.url, "auditor"), Question(**asked))

    async def broken(self, **given) -> dict[str, list]:
        return {verdict.invariant.id: verdict.broken for verdict in await self.audit(**given) if verdict.count}

    async def changes_now(self) -> None:
        """Every order changed just now, however long ago the day was made."""
        await self.sql(
            """UPDATE order_service.orders SET updated_at = now();
               UPDATE order_service.order_history h SET at = o.updated_at
               FROM order_service.orders o WHERE (h.order_id, h.version) = (o.id, o.version)"""
        )

    async def sql(self, text: str, *arguments) -> list:
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetch(text, *arguments) if arguments else await connection.execute(text)
        finally:
            await connection.close()


@pytest.fixture(scope="session")
async def day(postgres, template) -> AsyncIterator[Audited]:
    async with a_copy(postgres, template) as url:
        async with a_lively_shop(url) as shop:
            await a_day(shop)
        await allow_changes(url)
        yield Audited(url, shop.orders, [Told(*told) for told in shop.told], shop.poisoned)


@pytest.fixture
async def shop(postgres, day) -> AsyncIterator[Audited]:
    async with a_copy(postgres, day.url.rpartition("/")[2]) as url:
        yield Audited(url, day.orders, day.told, day.poisoned)


@pytest.fixture
def ordermill(monkeypatch, capsys, tmp_path):
    """A command line in a process where the auditor's address is a setting; its exit code, and what it wrote."""
    monkeypatch.setenv("ORDERMILL_HOME", str(tmp_path))

    async def run(*words, url=None):
        if url:
            monkeypatch.setenv("ORDERMILL_AUDITOR_DATABASE_URL", url)

        def command():
            with pytest.raises(SystemExit) as end:
                cli.main([*words])
            return end.value.code or 0

        code = await asyncio.to_thread(command)
        return code, *capsys.readouterr()

    return run
