"""The truth for whoever watches a process."""

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx2
import pytest

from chassis import health, heartbeat, remembered
from chassis.admission import Admission
from chassis.api import api
from chassis.app import parts_of
from chassis.relay import lock_of
from ordermill.services import load


@pytest.fixture
async def http(shop_database):
    service = load("inventory_service")
    settings = service.settings(database_url=shop_database, broker_url="amqp://nowhere", edge_key="t")
    app = api(parts_of(service, settings, {}))
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://inventory") as client,
    ):
        client.parts = app.state.parts
        yield client


@pytest.fixture
async def relay(shop_database):
    """A session that holds what the active relay of the service holds."""
    connection = await asyncpg.connect(shop_database)
    await connection.execute("SELECT pg_advisory_lock($1)", lock_of("inventory_service"))
    yield connection
    await connection.close()


async def waiting_for(http, seconds, **given):
    """A parcel in the outbox, due for so long."""
    row = {"id": uuid4(), "published": None, "attempts": 0, "made": 60, **given}
    async with http.parts.database.transaction() as tx:
        await tx.sql(
            """INSERT INTO inventory_service.outbox
               (id, topic, events, count, not_before, published_at, attempts, created_at) VALUES
               ($1, 'stock.low', '[]', 0, now() - $2 * interval '1 s', $3, $4, now() - $5 * interval '1 s')""",
            row["id"], seconds, row["published"], row["attempts"], row["made"],
        )  # fmt: skip


async def test_a_service_on_its_schema_with_a_worker_is_ready_and_healthy(http, relay):
    ready, healthy = await http.get("/readyz"), await http.get("/health")

    assert (ready.status_code, ready.json()) == (200, {"ready": True, "reasons": {}})
    assert healthy.json()["status"] == "ok"
    assert healthy.json()["service"] == "inventory_service"


async def test_a_service_for_which_no_worker_is_at_work_takes_orders_and_is_degraded(http, relay):
    await relay.close()

    ready, healthy = await http.get("/readyz"), (await http.get("/health")).json()

    assert ready.status_code == 200
    assert (healthy["status"], healthy["reasons"]) == ("degraded", {"worker": "none is at work with the broker"})


@pytest.mark.parametrize(
    ("waits", "status", "late"), [(0, "ok", set()), (-60, "ok", set()), (12, "degraded", {"outbox"})]
)
async def test_a_service_whose_events_wait_too_long_to_be_sent_is_degraded(http, relay, waits, status, late):
    await waiting_for(http, 60, published=datetime.now(UTC))
    await waiting_for(http, waits)

    healthy = (await http.get("/health")).json()

    assert (healthy["status"], set(healthy.get("reasons", ()))) == (status, late)


@pytest.mark.parametrize(("made", "late"), [(60, {"outbox"}), (1, set())])
async def test_a_service_whose_events_the_broker_refuses_for_long_is_degraded(http, relay, made, late):
    await waiting_for(http, -300, attempts=7, made=made)

    assert set((await http.get("/health")).json().get("reasons", ())) == late


async def test_a_process_is_alive_and_says_its_version(http):
    assert (await http.get("/livez")).json() == {"status": "alive"}
    assert (await http.get("/version")).json() == {"service": "inventory_service", "version": health.release()}


async def test_metrics_are_for_prometheus(http):
    response = await http.get("/metrics")

    assert response.headers["content-type"].startswith("text/plain")
    assert "ordermill_http_requests_total" in response.text


async def test_without_its_database_a_service_is_alive_but_not_ready(http):
    await http.parts.database.close()

    ready, healthy = await http.get("/readyz"), await http.get("/health")

    assert (ready.status_code, ready.json()) == (503, {"ready": False, "reasons": {"database": "InterfaceError"}})
    assert (healthy.status_code, healthy.json()["status"]) == (200, "degraded")
    assert (await http.get("/livez")).status_code == 200


@pytest.mark.parametrize(
    ("migrated", "told"),
    [
        ("UPDATE inventory_service.alembic_version SET version_num = '0000'", "schema is at 0000, the code wants 0"),
        ("DELETE FROM inventory_service.alembic_version", "schema is at nothing, the code wants 0"),
    ],
)
async def test_on_an_older_schema_a_service_is_not_ready(http, migrated, told):
    async with http.parts.database.transaction() as tx:
        await tx.sql(migrated)

    reasons = (await http.get("/readyz")).json()["reasons"]

    assert reasons["database"].startswith(told)


async def test_on_a_newer_schema_a_service_goes_on_until_its_successor_is_there(http):
    async with http.parts.database.transaction() as tx:
        await tx.sql("UPDATE inventory_service.alembic_version SET version_num = '0999'")

    assert (await http.get("/readyz")).status_code == 200


async def test_a_schema_that_is_not_there_is_a_reason(http):
    async with http.parts.database.transaction() as tx:
        await tx.sql("DROP TABLE inventory_service.alembic_version")

    assert await health.api_checks(http.parts) == {"database": "UndefinedTableError"}


async def test_every_reason_is_told():
    response = await health.ready({"a": "gone", "b": None, "c": "late"})

    assert json.loads(response.body)["reasons"] == {"a": "gone", "c": "late"}


@pytest.mark.parametrize(
    ("state", "reason"),
    [({"is_ending": True}, "is ending"), ({"lag": 3.14}, "comes 3.1 s late to everything"), ({"lag": 1.0}, None)],
)
async def test_a_process_that_ends_or_comes_late_is_not_ready(monkeypatch, state, reason):
    monkeypatch.setattr(health, "HERE", Admission(**state))

    response = await health.ready({"database": None})

    assert json.loads(response.body)["reasons"] == ({"process": reason} if reason else {})
    assert health.alive().status_code == 200


async def test_metrics_show_which_loop_has_not_come_round_and_are_counted_together_twice_a_second(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(health.time, "monotonic", lambda: now[0])
    with heartbeat.beating("relay"):
        shown = health.metrics().body.decode()
    same = health.metrics().body.decode()
    now[0] += remembered.FRESH_FOR

    assert 'ordermill_loop_seconds{loop="relay"}' in shown
    assert same == shown
    assert 'loop="relay"' not in health.metrics().body.decode()


def test_a_checkout_says_the_version_that_its_project_file_names():
    project = tomllib.loads(Path("pyproject.toml").read_text())

    assert health.release() == project["project"]["version"]


def test_an_installed_copy_says_which_one_it_is(monkeypatch, tmp_path):
    monkeypatch.setattr(health, "PROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(health, "installed_version", lambda name: f"{name} 1.2.3")

    assert health.release.__wrapped__() == "ordermill 1.2.3"
