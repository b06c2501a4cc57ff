"""Schemas and topology from the command line, while a shop runs; its own, since one schema loses what it held."""

import pytest

from chassis.migrations import head
from tests.support.running_shop import a_running_shop


@pytest.fixture(scope="module")
async def shop(run_folder):
    async with a_running_shop(run_folder / "schemas") as running:
        yield running


async def test_schemas_and_topology_can_be_brought_up_to_date_at_any_time(shop):
    assert "first tables" in await shop.command("history", "--service", "order_service")

    for command in (("upgrade",), ("upgrade", "--service", "order_service"), ("initdb",), ("topology",)):
        await shop.command(*command)

    assert await shop.rows("SELECT version_num FROM order_service.alembic_version") == [(head("order_service"),)]


async def test_one_schema_goes_back_and_forth_by_itself(shop):
    await shop.command("downgrade", "--service", "notification_service", "base")
    gone = await shop.rows("SELECT to_regclass('notification_service.notifications')")
    await shop.command("upgrade", "--service", "notification_service")

    assert gone == [(None,)]
    assert await shop.rows("SELECT count(*) FROM notification_service.notifications") == [(0,)]
