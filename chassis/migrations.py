"""Schemas: the tables that every service has for the chassis, and Alembic, one version table a service."""

import asyncio
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_ENVIRONMENT = Path(__file__).parent / "alembic"

# Gives up after two seconds behind a long reader, as an audit is one: orders would queue up behind it.
_IMPATIENT = "SET LOCAL lock_timeout = '2s'"
# A deadlock, of which PostgreSQL ended us, and a lock that did not come in time.
_IN_THE_WAY = {"40P01", "55P03"}
PAUSE = 1.0
_REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION {schema}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE insufficient_privilege USING MESSAGE = TG_TABLE_NAME || ' is added to, never changed'; END $$
"""
_APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {schema}.{table}
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change()
"""


def store_parcels_plainly(execute: Callable[[str], object], schema: str) -> None:
    """For a migration: parcels are not compressed, which took longer than the rest of their way. Partitions follow."""
    _set_storage(execute, schema, "EXTERNAL")


def compress_parcels(execute: Callable[[str], object], schema: str) -> None:
    """Takes back what ``store_parcels_plainly`` did, for the parcels to come."""
    _set_storage(execute, schema, "EXTENDED")


def _set_storage(execute: Callable[[str], object], schema: str, how: str) -> None:
    execute(_IMPATIENT)
    execute(f"ALTER TABLE {schema}.outbox ALTER COLUMN events SET STORAGE {how}")


def keep_acts(execute: Callable[[str], object], schema: str) -> None:
    """For a migration: acts are only added."""
    only_add(execute, schema, "acts")


def keep_acts_no_more(execute: Callable[[str], object], schema: str) -> None:
    """Takes back what ``keep_acts`` added."""
    only_add_no_more(execute, schema, "acts")
    execute(f"DROP FUNCTION {schema}.refuse_change()")


def only_add(execute: Callable[[str], object], schema: str, table: str) -> None:
    """For a migration: a trigger refuses UPDATE and DELETE of the table to everybody, its owner and its service too."""
    execute(_IMPATIENT)
    execute(_REFUSE_CHANGE.format(schema=schema))
    execute(_APPEND_ONLY.format(schema=schema, table=table))


def only_add_no_more(execute: Callable[[str], object], schema: str, table: str) -> None:
    """Takes back what ``only_add`` added; the function stays for the other tables."""
    execute(f"DROP TRIGGER append_only ON {schema}.{table}")


def add_chassis_tables(metadata: MetaData) -> None:
    """Adds outbox, inbox, kept, deferred, acts and idempotency to a service's own tables."""
    _add_parcels(metadata)
    _add_kept(metadata)
    _add_deferred(metadata)
    _add_acts(metadata)
    _add_idempotency(metadata)


def _add_parcels(metadata: MetaData) -> None:
    outbox = Table(
        "outbox",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("topic", Text, nullable=False),
        Column("events", Text, nullable=False),
        Column("count", Integer, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("published_at", DateTime(timezone=True)),
        Column("not_before", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("attempts", Integer, nullable=False, server_default="0"),
        postgresql_partition_by="RANGE (id)",
    )
    Index("outbox_by_time", outbox.c.created_at, outbox.c.id)
    Index("outbox_unpublished", outbox.c.id, postgresql_where=outbox.c.published_at.is_(None))
    Table(
        "inbox",
        metadata,
        Column("message_id", Uuid, primary_key=True),
        Column("handled_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        postgresql_partition_by="RANGE (message_id)",
    )


def _add_kept(metadata: MetaData) -> None:
    # Of the outbox and of the inbox: the first day of which nothing was dropped, if any was; and how many are kept.
    Table(
        "kept",
        metadata,
        Column("parcels", Text, primary_key=True),
        Column("since", Date),
        Column("days", Integer, nullable=False),
    )


def _add_deferred(metadata: MetaData) -> None:
    deferred = Table(
        "deferred",
        metadata,
        Column("message_id", Uuid, primary_key=True),
        Column("index", Integer, primary_key=True),
        Column("topic", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("body", Text, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("not_before", DateTime(timezone=True), nullable=False),
        Column("last_error", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("careful", Boolean, nullable=False, server_default=text("false")),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        CheckConstraint("state IN ('deferred', 'parked')", name="deferred_state"),
    )
    Index("deferred_subject", deferred.c.subject, postgresql_where=text("state = 'deferred'"))


def _add_acts(metadata: MetaData) -> None:
    acts = Table(
        "acts",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("actor", Text, nullable=False),
        Column("act", Text, nullable=False),
        Column("message_id", Uuid),
        Column("index", Integer),
        Column("topic", Text, nullable=False),
        Column("subject", Text),
        Column("cause", Text, nullable=False),
        Column("body", Text),
        Column("note", Text, nullable=False),
        CheckConstraint("act IN ('retry', 'discard', 'replay', 'republish')", name="acts_act_is_known"),
        CheckConstraint("act <> 'discard' OR body IS NOT NULL", name="acts_what_is_discarded_is_kept"),
        info={"append_only": True},
    )
    Index("acts_about", acts.c.message_id)


def _add_idempotency(metadata: MetaData) -> None:
    idempotency = Table(
        "idempotency",
        metadata,
        Column("user_id", Uuid, primary_key=True),
        Column("operation", Text, primary_key=True),
        Column("key", Text, primary_key=True),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("status", Integer, nullable=False),
        Column("headers", JSONB, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    )
    Index("idempotency_age", idempotency.c.created_at)


def configuration(service: str, **attributes: Any) -> Config:
    """Alembic's configuration for one service; the connection and the metadata travel in its attributes."""
    config = Config()
    config.set_main_option("path_separator", "os")
    config.set_main_option("script_location", str(_ENVIRONMENT))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.set_main_option("version_locations", str(Path(str(import_module(service).__file__)).parent / "migrations"))
    config.attributes.update(attributes, service=service)
    return config


@cache
def head(service: str) -> str | None:
    """The newest revision that the code knows."""
    return ScriptDirectory.from_config(configuration(service)).get_current_head()


def next_revision(service: str) -> str:
    """The id of the revision after the newest one: `0005` after `0004`."""
    return f"{int(head(service) or 0) + 1:04}"


async def migrate(url: str, service: str, metadata: MetaData, action: str, **options: Any) -> None:
    """Runs an Alembic command (``upgrade``, ``downgrade``, ``revision``, ``history``) for one service.

    ``url`` is of a role that owns the schema. Replicas that start together take turns under an advisory lock.
    Alembic's context is process-global, so the caller must not run two at once. No difference, no ``revision``.

    Raises:
        TimeoutError: when it is not done within two minutes, however often it was tried.
    """
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))

    def run(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"migrate {service}"})
        getattr(command, action)(
            configuration(service, connection=connection, metadata=metadata, action=action), **options
        )

    try:
        async with asyncio.timeout(120):
            while not await _done(engine, run):  # noqa: ASYNC110  nobody announces it
                await asyncio.sleep(PAUSE)
    finally:
        await engine.dispose()


async def _done(engine: AsyncEngine, run: Callable[[Connection], None]) -> bool:
    """All of it or nothing; False when the shop at work stands in the way: then it is tried again."""
    try:
        async with engine.begin() as connection:
            await connection.run_sync(run)
    except DBAPIError as failure:
        if getattr(failure.orig, "sqlstate", None) not in _IN_THE_WAY:
            raise
        return False
    return True
