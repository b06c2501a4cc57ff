"""Who may do what in the database: a role for each service, one for the provider's books, one that only reads."""

from collections.abc import Mapping

import asyncpg

from ordermill.services import PROVIDER, SERVICES

# Large objects are in no schema: whoever may connect makes them, reads its own, and fills the disk where nobody looks.
# Only their owner, a superuser, can take this from PUBLIC; where we are none, PostgreSQL says so and it stays.
_NOBODY = "REVOKE EXECUTE ON FUNCTION lo_create(oid), lo_creat(integer), lo_from_bytea(oid, bytea) FROM PUBLIC"

# Where the server was made for the shop, its other databases are ours, too: who connects there fills the disk unseen.
# They stay open on somebody else's, whose other users may need them.
_ELSEWHERE = """
DO $$ DECLARE other name; BEGIN
    FOR other IN SELECT datname FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba AND rolname = current_user
        WHERE datname IN ('postgres', 'template1') AND datname <> current_database()
    LOOP EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', other); END LOOP;
END $$;
"""

# A service reads by key and by index. A plan that was made while its tables were empty must not read them whole
# when they are full, and one plan a statement will do.
_ROLE = """
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE {role} LOGIN; END IF;
END $$;
ALTER ROLE {role} IN DATABASE {database} RESET ALL;
ALTER ROLE {role} RESET ALL; -- what whoever held the role has set for it would outlive them
ALTER ROLE {role} PASSWORD '{password}' CONNECTION LIMIT {room};
ALTER ROLE {role} SET idle_in_transaction_session_timeout = '5s';
ALTER ROLE {role} SET lock_timeout = '3s';
ALTER ROLE {role} SET statement_timeout = '10s';
ALTER ROLE {role} SET enable_seqscan = off;
ALTER ROLE {role} SET plan_cache_mode = force_generic_plan;
ALTER ROLE {role} SET jit = off;
GRANT CONNECT ON DATABASE {database} TO {role};
CREATE SCHEMA IF NOT EXISTS {role};
GRANT USAGE ON SCHEMA {role} TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA {role} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA {role} GRANT USAGE ON SEQUENCES TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA {role} GRANT EXECUTE ON FUNCTIONS TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {role} TO {role};
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {role} TO {role};
"""
# Which migrations ran is not for a service to say. It reads that, to know whether it may start.
_VERSION = """
CREATE TABLE IF NOT EXISTS {role}.alembic_version
    (version_num varchar(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY);
REVOKE INSERT, UPDATE, DELETE ON {role}.alembic_version FROM {role};
"""

# Reads everything but keys, now and after later migrations, and writes nothing. It takes one processor at most.
_AUDITOR = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'auditor') THEN CREATE ROLE auditor LOGIN; END IF;
END $$;
ALTER ROLE auditor PASSWORD '{password}';
GRANT CONNECT ON DATABASE {database} TO auditor;
ALTER ROLE auditor SET default_transaction_read_only = on;
ALTER ROLE auditor SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE auditor SET lock_timeout = '3s';
ALTER ROLE auditor SET statement_timeout = '5min';
ALTER ROLE auditor SET max_parallel_workers_per_gather = 0;
ALTER ROLE auditor SET work_mem = '64MB';
ALTER ROLE auditor SET jit = off;
"""
_READS = """
GRANT USAGE ON SCHEMA {schema} TO auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO auditor;
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO auditor;
"""
# Whoever reads these signs tokens in anybody's name, and so writes everything.
_BUT = "REVOKE SELECT ON auth_service.signing_keys FROM auditor;"


async def create_roles(url: str, passwords: Mapping[str, str]) -> None:
    """A role for each service that sees its own schema and nothing else; migrations run as the owner."""
    connection = await asyncpg.connect(url)
    try:
        database = await _name_of(connection)
        room = int(await connection.fetchval("SHOW max_connections")) // 2  # that one takes them all keeps nobody out
        await connection.execute(_NOBODY + ";" + _ELSEWHERE)
        for role, password in passwords.items():
            statements = _ROLE if role == PROVIDER else _ROLE + _VERSION
            await connection.execute(statements.format(role=role, password=password, database=database, room=room))
    finally:
        await connection.close()


async def create_auditor(url: str, password: str) -> None:
    """The role that reads every schema, the provider's books too, and no key; after the migrations."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_AUDITOR.format(password=password, database=await _name_of(connection)))
        for schema in (*SERVICES, PROVIDER):
            await connection.execute(_READS.format(schema=schema))
        await connection.execute(_BUT)
    finally:
        await connection.close()


async def _name_of(connection: asyncpg.Connection) -> str:
    name: str = await connection.fetchval("SELECT quote_ident(current_database())")
    return name
