"""What the test moves from outside of the services: the database's clock, poison for an order, and an empty shop.

The services' roles look for `now()` in the schema `stage` first, so that time passes only where the test says so.
"""

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from ordermill.services import SERVICES, load
from tests.support.database import allow_changes

POISONED = {
    "order_service.orders": "id",
    "inventory_service.reservations": "order_id",
    "payment_service.payments": "order_id",
    "notification_service.notifications": "order_id",
}
KEPT = {
    "inventory_service.products",
    "inventory_service.warehouses",
    "order_service.products",
}
BOOKS = ("provider.refunds", "provider.charges", "provider.calls", "provider.notices")

# A day ahead of the real clock, which column defaults still read: nothing of them lies in the future.
_INSTALL = """
CREATE SCHEMA stage;
CREATE TABLE stage.time AS SELECT pg_catalog.now() + interval '1 day' AS at;
CREATE TABLE stage.poison (service text, order_id uuid);
CREATE FUNCTION stage.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM stage.time';
CREATE FUNCTION stage.choke() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM stage.poison WHERE service = TG_TABLE_SCHEMA
               AND order_id = (to_jsonb(NEW) ->> TG_ARGV[0])::uuid) THEN
        RAISE EXCEPTION 'poisoned';
    END IF;
    RETURN NEW;
END $$;
GRANT USAGE ON SCHEMA stage TO PUBLIC;
GRANT SELECT ON stage.time TO PUBLIC;
"""
_POISONOUS = """
CREATE TRIGGER chokes BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION stage.choke('{column}')
"""


class Stage:
    """The database as its owner."""

    def __init__(self, owner: asyncpg.Connection) -> None:
        self.owner = owner
        tables = [table.fullname for name in SERVICES for table in load(name).metadata.sorted_tables]
        names = [name for name in (*reversed(tables), *BOOKS, "stage.poison") if name not in KEPT]
        self._empty = "; ".join(f"DELETE FROM {name}" for name in names)  # noqa: S608 -- our own tables

    @classmethod
    async def set_up(cls, url: str) -> "Stage":
        stage = cls(await asyncpg.connect(url))
        await stage.owner.execute(_INSTALL)
        for table, column in POISONED.items():
            await stage.owner.execute(_POISONOUS.format(table=table, column=column))
        await allow_changes(url)  # What is kept for ever is gone here when another example begins.
        database = url.rpartition("/")[2]
        for role in (*SERVICES, "provider"):
            await stage.owner.execute(f"ALTER ROLE {role} IN DATABASE {database} SET search_path = stage, pg_catalog")
        # The promises are the same statement each time, and planning it costs more than asking it.
        await stage.owner.execute(f"ALTER ROLE auditor IN DATABASE {database} SET plan_cache_mode = force_generic_plan")
        return stage

    async def empty(self) -> None:
        """No order, no stock, no event: only products and warehouses."""
        await self.owner.execute(self._empty)

    async def pass_time(self, passed: timedelta) -> datetime:
        return await self.owner.fetchval("UPDATE stage.time SET at = at + $1 RETURNING at", passed)

    async def poison(self, service: str, order_id: UUID) -> None:
        """Whatever the service writes about the order fails from now on."""
        await self.owner.execute("INSERT INTO stage.poison VALUES ($1, $2)", service, order_id)

    async def cure(self) -> None:
        await self.owner.execute("DELETE FROM stage.poison")

    async def make_due(self, service: str) -> None:
        """Deferred events need not wait any longer."""
        await self.owner.execute(f"UPDATE {service}.deferred SET not_before = stage.now()")  # noqa: S608 -- one of ours

    async def rows(self, sql: str, *arguments) -> list[asyncpg.Record]:
        return await self.owner.fetch(sql, *arguments)
