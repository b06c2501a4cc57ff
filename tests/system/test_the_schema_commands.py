"""Schemas and topology from the command line, while the shop runs."""

from chassis.migrations import head


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
