"""What each role may not do in the database, really tried as that role in a running shop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from ordermill.services import AUDITOR, PROVIDER, SERVICES
from tests.support.running_shop import RunningShop

ROLES = (*SERVICES, PROVIDER)
REFUSED = asyncpg.InsufficientPrivilegeError
WAYS = (
    "SELECT 1 FROM {table}",
    "INSERT INTO {table} SELECT * FROM {table} WHERE false",
    "UPDATE {table} SET {column} = {column} WHERE false",
    "DELETE FROM {table} WHERE false",
    "TRUNCATE {table}",
    "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
)
NOBODY_MAY = (
    "CREATE TABLE {schema}.mine (id int)",
    "CREATE TABLE public.mine (id int)",
    "CREATE TEMPORARY TABLE mine (id int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION {schema}.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine SUPERUSER",
    "ALTER ROLE {role} SUPERUSER",
    "SET ROLE ordermill",
    "SET SESSION AUTHORIZATION ordermill",
    "SET session_replication_role = replica",
    "GRANT ordermill TO {role}",
    "CREATE EXTENSION file_fdw SCHEMA {schema}",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/mine'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/hostname')",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'mine')",
    "SELECT rolpassword FROM pg_authid",
    "ALTER SYSTEM SET fsync = off",
    "SELECT pg_reload_conf()",
    "CHECKPOINT",
)
OWN_TABLES = {"order_service": "orders", "payment_service": "payments", "inventory_service": "stock",
              "notification_service": "notifications", "auth_service": "users", "provider": "charges"}  # fmt: skip
ONLY_ADDED = (
    ("order_service", "order_history"),
    ("payment_service", "ledger"),
    ("inventory_service", "stock_movements"),
    ("auth_service", "security_events"),
    *((service, "acts") for service in SERVICES),
)


@asynccontextmanager
async def database_as(shop: RunningShop, role: str, database: str = "ordermill") -> AsyncIterator[asyncpg.Connection]:
    parts = urlsplit(shop.database_url)._replace(path=f"/{database}")
    user = f"{role}:{quote(shop.secret(f'{role}.database'), safe='')}"
    connection = await asyncpg.connect(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl())
    try:
        yield connection
    finally:
        await connection.close()


async def is_refused(connection: asyncpg.Connection, statement: str) -> bool:
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(statement)
    except REFUSED:
        return True
    finally:
        await transaction.rollback()
    return False


async def tables(shop: RunningShop) -> list[tuple[str, str, str]]:
    """Every table with its schema and its first column."""
    found = await shop.rows("""
        SELECT n.nspname, format('%I.%I', n.nspname, c.relname),
            (SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = c.oid AND attnum = 1)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY(array_append($1::text[], 'pg_catalog'))
          AND (n.nspname <> 'pg_catalog' OR c.relname IN ('pg_authid', 'pg_class', 'pg_proc'))
    """, list(ROLES))  # fmt: skip
    return [tuple(row) for row in found]


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_reads_and_writes_no_table_of_another_schema(shop: RunningShop, role: str):
    others = [row for row in await tables(shop) if row[0] not in {role, "pg_catalog"}]
    statements = [way.format(table=table, column=column) for _, table, column in others for way in WAYS]

    async with database_as(shop, role) as connection:
        allowed = [statement for statement in statements if not await is_refused(connection, statement)]
        own = await is_refused(connection, WAYS[0].format(table=f"{role}.{OWN_TABLES[role]}"))

    assert allowed == []
    assert len(statements) > 100
    assert own is False


@pytest.mark.parametrize("role", [*ROLES, AUDITOR])
async def test_a_role_makes_nothing_grants_nothing_and_reaches_no_file_or_program(shop: RunningShop, role: str):
    allowed = []
    async with database_as(shop, role) as connection:
        await connection.execute("SET default_transaction_read_only = off")
        for statement in NOBODY_MAY:
            try:
                await connection.execute(statement.format(role=role, schema=SERVICES[0] if role == AUDITOR else role))
            except REFUSED:
                continue
            allowed.append(statement)

    assert allowed == []


@pytest.mark.parametrize("role", [*ROLES, AUDITOR])
@pytest.mark.parametrize("database", ["postgres", "template1"])
async def test_a_role_connects_to_no_other_database(shop: RunningShop, role: str, database: str):
    with pytest.raises((REFUSED, asyncpg.ObjectNotInPrerequisiteStateError), match=f'database "{database}"'):
        async with database_as(shop, role, database):
            pass


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_alters_no_table_of_its_own(shop: RunningShop, role: str):
    own = [table for schema, table, _ in await tables(shop) if schema == role]
    ways = ("ALTER TABLE {} ADD COLUMN mine int", "DROP TABLE {}", "TRUNCATE {}", "CREATE INDEX ON {} ((1))",
            "ALTER TABLE {} DISABLE TRIGGER ALL")  # fmt: skip

    async with database_as(shop, role) as connection:
        allowed = [
            way.format(table) for table in own for way in ways if not await is_refused(connection, way.format(table))
        ]

    assert allowed == []


@pytest.mark.parametrize(("service", "table"), ONLY_ADDED)
async def test_what_is_only_added_is_not_changed_by_its_own_service(shop: RunningShop, service: str, table: str):
    [column] = [column for _, name, column in await tables(shop) if name == f"{service}.{table}"]

    async with database_as(shop, service) as connection:
        tried = [way.format(table=f"{service}.{table}", column=column) for way in WAYS[:-1]]
        refused = [await is_refused(connection, statement) for statement in tried]

    assert refused == [False, False, True, True, True]


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_does_not_say_which_migrations_ran(shop: RunningShop, service: str):
    async with database_as(shop, service) as connection:
        tried = [way.format(table=f"{service}.alembic_version", column="version_num") for way in WAYS]
        refused = [await is_refused(connection, statement) for statement in tried]

    assert refused == [False, True, True, True, True, True]


async def test_the_auditor_reads_every_table_but_keys_and_writes_none_even_if_it_says_that_it_may(shop: RunningShop):
    every = [row for row in await tables(shop) if row[0] != "pg_catalog"]

    async with database_as(shop, AUDITOR) as connection:
        unread = [table for _, table, _ in every if await is_refused(connection, WAYS[0].format(table=table))]
        await connection.execute("SET default_transaction_read_only = off")
        writes = [way.format(table=table, column=column) for _, table, column in every for way in WAYS[1:]]
        allowed = [statement for statement in writes if not await is_refused(connection, statement)]

    assert unread == ["auth_service.signing_keys"]
    assert allowed == []


async def test_what_works_for_a_service_is_signed_in_as_that_service(shop: RunningShop):
    used = await shop.rows("SELECT DISTINCT usename FROM pg_stat_activity WHERE backend_type = 'client backend'")

    assert {row["usename"] for row in used} == {*ROLES, AUDITOR, "ordermill"}  # the last one asks this
