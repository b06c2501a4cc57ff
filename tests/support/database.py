"""Databases for tests: one template with every schema migrated, and a copy of it for each test."""

import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from ordermill.roles import create_auditor, create_roles
from ordermill.services import SERVICES, load
from ordermill.setup import create_provider_books, upgrade

TEMPLATE = "ordermill_template"
ONLY_ADDED = [
    table.fullname for name in SERVICES for table in load(name).metadata.sorted_tables if table.info.get("append_only")
]


def within(server: str, database: str) -> str:
    """The URL of a database on the server."""
    return f"{server.rpartition('/')[0]}/{database}"


async def make_template(server: str, lock: Path) -> str:
    """The migrated template; made once a server, however many processes ask for it at once."""
    with lock.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        connection = await asyncpg.connect(server)
        try:
            if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate", TEMPLATE):
                return TEMPLATE
            await connection.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
            await connection.execute(f"CREATE DATABASE {TEMPLATE}")
            url = within(server, TEMPLATE)
            await create_roles(url, dict.fromkeys((*SERVICES, "provider"), "test"))
            for name in SERVICES:
                await upgrade(url, load(name))
            await create_provider_books(url)
            await create_auditor(url, "test")
            await connection.execute(f"ALTER DATABASE {TEMPLATE} IS_TEMPLATE true")
        finally:
            await connection.close()
    return TEMPLATE


async def make_roles(url: str, lock: Path, *names: str) -> None:
    """Services' roles, with the password `test`. Roles are the whole server's, so that processes take turns."""
    with lock.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        await create_roles(url, dict.fromkeys(names, "test"))


@asynccontextmanager
async def a_copy(server: str, template: str) -> AsyncIterator[str]:
    """A database of its own for a test, as its owner."""
    name = f"test_{uuid4().hex}"
    connection = await asyncpg.connect(server)
    try:
        # Copying files takes a third of the time that copying blocks through the log does, which is the default.
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        yield within(server, name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


async def allow_changes(url: str) -> None:
    """What is only added to may be changed in this database: for a test that breaks a promise, or begins again."""
    connection = await asyncpg.connect(url)
    try:
        for table in ONLY_ADDED:
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
    finally:
        await connection.close()


def as_role(url: str, role: str) -> str:
    """The same database for a role whose password is `test`."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}:test@{parts.netloc.rpartition('@')[2]}").geturl()
