"""What has to be there before a service runs: roles, schemas, migrations, broker users, topology, settings."""

import json
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import asyncpg
from sqlalchemy.ext.asyncio import create_async_engine

from chassis import broker, migrations
from chassis.app import Service
from chassis.assertions import key_of
from contracts.catalogue import TELLERS
from ordermill import retelling, seeds
from ordermill.needs import COMES_TO
from ordermill.rabbitmq import password_hash
from ordermill.roles import create_auditor, create_roles
from ordermill.services import AUDITOR, PROVIDER, SERVICES, load
from payment_service import simulator_tables

if TYPE_CHECKING:
    from ordermill.state import State

# A queue's bytes: 400,000 placed orders are as many, and what is more waits in its teller's outbox.
FULL = {"max-length-bytes": 2**28, "overflow": "reject-publish"}


def environment(state: "State") -> dict[str, str]:
    """The settings of every process of this checkout."""
    told = {
        "ORDERMILL_PROFILE": "local",
        "ORDERMILL_LOG_FORMAT": os.environ.get("ORDERMILL_LOG_FORMAT", "text"),
        "ORDERMILL_SMTP_URL": f"smtp://ordermill:{state.secret('mailbox_password')}@127.0.0.1:{state.port('mailbox.smtp')}",
        **secret_settings(state, state.database_url, state.broker_url),
    }
    if state.layout == "split":
        told["ORDERMILL_PEERS"] = json.dumps({service: state.url(f"{service}.api") for service in SERVICES})
        told["ORDERMILL_PROVIDER_URL"] = state.url(PROVIDER)
        told["ORDERMILL_WEBHOOK_URL"] = f"{state.url('payment_service.api')}/api/v1/payments/webhooks/simulated"
    return told


def secret_settings(state: "State", database_url: str, broker_url: str) -> dict[str, str]:
    """Those of the settings that nobody else may know; the URLs are the owner's and the administrator's."""
    told = {
        "ORDERMILL_WEBHOOK_SECRET": state.secret("webhook_secret"),
        "ORDERMILL_PROVIDER_KEY": state.secret("provider_key"),
    }
    if (token := state.kept_secret("service_token")) is not None:  # of the release before
        told["ORDERMILL_SERVICE_TOKEN"] = token
    edge_keys = {service: state.secret(f"{service}.edge") for service in SERVICES}
    for service, key in edge_keys.items():
        told[f"ORDERMILL_{service.upper()}_EDGE_KEY"] = key
    for caller, edges in COMES_TO.items():
        keys = {edge: key_of(edge_keys[edge], caller, edge) for edge in edges}
        told[f"ORDERMILL_{caller.upper()}_PEER_KEYS"] = json.dumps(keys)
    for role in (*SERVICES, PROVIDER, AUDITOR):
        told[f"ORDERMILL_{role.upper()}_DATABASE_URL"] = _as_user(database_url, role, state.secret(f"{role}.database"))
    for service in SERVICES:
        told[f"ORDERMILL_{service.upper()}_BROKER_URL"] = _as_user(
            broker_url, service, state.secret(f"{service}.broker")
        )
    return told


def auditor_url(state: "State") -> str:
    """The address of the database, for the role that reads everything and writes nothing."""
    return _as_user(state.database_url, AUDITOR, state.secret(f"{AUDITOR}.database"))


def _as_user(urls: str, user: str, password: str) -> str:
    parts = [urlsplit(url) for url in broker.nodes(urls)]
    hosts = [(part, part.netloc.rpartition("@")[2]) for part in parts]
    return ",".join(part._replace(netloc=f"{user}:{quote(password, safe='')}@{host}").geturl() for part, host in hosts)


async def prepare(state: "State", on_progress: Callable[[str], None]) -> None:
    """Roles, schemas and migrations. Safe to repeat; needs PostgreSQL only."""
    roles = {role: state.secret(f"{role}.database") for role in (*SERVICES, PROVIDER)}
    await create_roles(state.database_url, roles)
    on_progress("roles and schemas")
    for service in SERVICES:
        await upgrade(state.database_url, load(service))
    await create_provider_books(state.database_url)
    await create_auditor(state.database_url, state.secret(f"{AUDITOR}.database"))
    await fill_replica(state)
    on_progress("migrations")


async def fill_replica(state: "State") -> None:
    """The replica of the products asks for those that it lacks."""
    told = environment(state) | {"ORDERMILL_INVENTORY_SERVICE_DATABASE_URL": state.database_url}
    await retelling.fill_replica(told)


async def create_provider_books(url: str) -> None:
    """The simulated provider's own tables, in a schema that no service's role can read."""
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))
    async with engine.begin() as connection:
        await connection.run_sync(simulator_tables.metadata.create_all)
    await engine.dispose()


async def upgrade(url: str, service: Service, revision: str = "heads") -> None:
    """Brings one service's schema to a revision. The newest one is left as it is, and so is a later release's.

    A later release leaves what this one needs (record 0061): who goes back to this one finds such a schema.
    """
    if revision != "heads" or (await _revision(url, service.name) or "") < (migrations.head(service.name) or ""):
        await migrations.migrate(url, service.name, service.metadata, "upgrade", revision=revision)


async def _revision(url: str, service: str) -> str | None:
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval("SELECT to_regclass($1)", f"{service}.alembic_version") is None:
            return None
        revision: str | None = await connection.fetchval(f"SELECT version_num FROM {service}.alembic_version")  # noqa: S608 -- one of SERVICES
        return revision
    finally:
        await connection.close()


async def seed(state: "State") -> None:
    """Demo products and accounts, unless they are there."""
    await seeds.seed(environment(state), state)


def listeners() -> dict[str, tuple[str, ...]]:
    """The topics that each service listens to, read off its decisions."""
    return {service: load(service).decisions.topics for service in SERVICES}


async def topology(state: "State") -> bool:
    """Exchanges, queues, bindings; says whether a queue is new. What it may have lost is told again."""
    heard = listeners()
    created = await broker.declare_topology(state.broker_url, heard)
    await retelling.tell_lost(state.database_url, {service: heard[service] for service in created})
    await broker.mark_told(state.broker_url, created)
    return bool(created)


def definitions(state: "State") -> dict[str, Any]:
    """RabbitMQ's definitions: an administrator, a user a service with least privilege, and the policies.

    A service may write its own events to its own exchange and read its own queue; it may configure nothing. A
    message that came back 50 times is dead-lettered, as the last net: attempts are counted in the database, since the
    broker counts innocent neighbours of a crash too (record 0004). A queue that is full refuses, and what it refuses
    stays in its teller's outbox (record 0080).
    """
    users = [_user("ordermill", state.secret("rabbitmq"), ["administrator"])]
    permissions = [_permission("ordermill", ".*", ".*", ".*")]
    topics, policies = [], []
    for service in SERVICES:
        users.append(_user(service, state.secret(f"{service}.broker"), []))
        permissions.append(_permission(service, "^$", rf"^{service}\.events$", rf"^{service}(\.dead)?$"))
        topics.append(_topics_of(service))
        limits = {"delivery-limit": 50, "dead-letter-exchange": broker.given_up_of(service)}
        # RabbitMQ 4 gives up after 20 deliveries where nothing is said, and for a dead letter that is the end.
        dead = broker.dead_letters_of(service)
        policies += [_policy(service, limits | FULL), _policy(dead, {"delivery-limit": 1_000_000} | FULL)]
    return {
        "users": users,
        "vhosts": [{"name": "/"}],
        "permissions": permissions,
        "topic_permissions": topics,
        "policies": policies,
    }


def _user(name: str, password: str, tags: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "password_hash": password_hash(password),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": tags,
    }


def _topics_of(service: str) -> dict[str, str]:
    words = "|".join(word for word, teller in TELLERS.items() if teller == service)
    exchange = broker.exchange_of(service)
    return {"user": service, "vhost": "/", "exchange": exchange, "write": rf"^({words})\.", "read": "^$"}


def _policy(queue: str, definition: dict[str, Any]) -> dict[str, Any]:
    pattern = f"^{re.escape(queue)}$"
    return {"vhost": "/", "name": queue, "pattern": pattern, "apply-to": "queues", "definition": definition}


def _permission(user: str, configure: str, write: str, read: str) -> dict[str, str]:
    return {"user": user, "vhost": "/", "configure": configure, "write": write, "read": read}
