"""A whole worker, and a broker that is killed under it."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from chassis import consumer as chassis_consumer
from chassis import health, heartbeat
from chassis import relay as chassis_relay
from chassis import worker as chassis_worker
from chassis.app import Loop
from chassis.ids import new_id
from chassis.worker import Worker
from ordermill.erlang import ensure_installation
from ordermill.rabbitmq import RabbitMQ
from ordermill.state import State
from ordermill.supervisor import Supervisor
from tests.integration.conftest import open_broker
from tests.support import ledger_edge
from tests.support.eventually import eventually
from tests.support.ledger import SERVICE, Credit, not_refunded, refunded


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(chassis_consumer, "CHECK", 0.05)
    monkeypatch.setattr(chassis_relay, "POLL", 0.05)


async def is_ready(worker):
    return (await worker.checks(), worker.relay.active) == ({"consumer": None, "relay": None}, True)


@pytest.fixture
def sees(rows):
    async def sees(statement, *expected):
        async def so():
            return await rows(statement) == list(expected)

        await eventually(so)

    return sees


async def test_a_worker_consumes_relays_retries_and_ends(broker, parts, sees, rows):
    worker = Worker(parts)
    assert await worker.checks() == {"consumer": "does not consume", "relay": "does not relay"}

    async with worker.running():
        await eventually(lambda: is_ready(worker))
        order = not_refunded().order_id
        parcel = await broker.tell(not_refunded(order))
        await sees("SELECT message_id, state FROM $S.deferred", (parcel, "deferred"))
        await rows("UPDATE $S.deferred SET body = replace(body, 'poison', 'fine'), not_before = now() RETURNING 1")
        await sees("SELECT 1 FROM $S.deferred")
        await parts.pipeline.submit(Credit(order, 1))
        await sees("SELECT published_at IS NOT NULL FROM $S.outbox", (True,))
        await broker.tell(refunded(order, 5))
        await sees("SELECT balance FROM $S.accounts", (6,))

    assert await worker.checks() == {"consumer": "does not consume", "relay": "does not relay"}
    assert parts.database._pool._pool is None
    assert await broker.waiting() == 0


async def test_a_parcel_that_came_again_is_worked_off_carefully(broker, parts, sees):
    await broker.tell(refunded(amount=1), refunded(amount=2))
    await (await broker.take()).nack(requeue=True)

    async with Worker(parts).running():
        await sees("SELECT balance FROM $S.accounts ORDER BY 1", (1,), (2,))
        await sees("SELECT 1 FROM $S.deferred")


async def test_a_services_own_loops_are_stepped_and_go_on_when_they_fail(broker, parts, sees):
    steps = []

    async def step(its_parts):
        steps.append(its_parts)
        if len(steps) == 1:
            raise ValueError
        return len(steps) < 4

    parts.service = replace(parts.service, loops=(Loop("steps", step, every=60),))
    async with Worker(parts).running():
        await eventually(lambda: len(steps) == 4)
        await parts.pipeline.submit(Credit(new_id(), 1))
        await eventually(lambda: len(steps) == 5)

    assert set(map(id, steps)) == {id(parts)}


async def test_what_is_in_hand_at_the_end_is_finished(broker, parts, sees):
    begun, released, finished = asyncio.Event(), asyncio.Event(), []

    async def step(_parts):
        begun.set()
        await released.wait()
        finished.append(1)
        return False

    parts.service = replace(parts.service, loops=(Loop("steps", step, every=60, woken=False),))
    async with Worker(parts).running():
        await begun.wait()
        asyncio.get_running_loop().call_later(0.1, released.set)

    assert finished == [1]


async def test_a_step_that_does_not_end_holds_up_the_end_for_a_moment_only(broker, parts, monkeypatch):
    monkeypatch.setattr(chassis_worker, "FINISHING", 0.1)
    begun, cancelled = asyncio.Event(), []

    async def step(_parts):
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    parts.service = replace(parts.service, loops=(Loop("steps", step),))
    async with Worker(parts).running():
        await begun.wait()

    assert cancelled == [1]


async def test_a_queue_that_is_gone_is_no_reason_to_end_and_is_read_again_once_it_is_declared(
    broker, parts, sees, monkeypatch
):
    worker = Worker(parts)
    async with worker.running():
        await eventually(lambda: is_ready(worker))
        await broker.channel.queue_delete(SERVICE)
        await eventually(lambda: _does_not_consume(worker))
        assert heartbeat.stuck() == {}

        again, broker = await open_broker(broker.url)
        await eventually(lambda: is_ready(worker))
        await broker.tell(refunded(amount=4))
        await sees("SELECT balance FROM $S.accounts", (4,))
        await again.close()


async def _does_not_consume(worker):
    return (await worker.checks())["consumer"] == "does not consume"


@pytest.mark.parametrize("stuck", ["relay", "steps"])
async def test_a_loop_that_is_stuck_is_told_of(broker, parts, stuck, monkeypatch):
    monkeypatch.setattr(heartbeat, "ALLOWED", 1.5)

    async def hang(*_):
        await asyncio.Event().wait()

    async def step(_parts):
        return stuck == "steps" and await hang()

    if stuck == "relay":
        monkeypatch.setattr(chassis_relay.Relay, "step", hang)
    parts.service = replace(parts.service, loops=(Loop("steps", step),))
    monkeypatch.setattr(chassis_worker, "FINISHING", 0.1)
    async with Worker(parts).running():
        await eventually(lambda: set(heartbeat.stuck()) == {f"{SERVICE} {stuck}"})
        assert health.alive().status_code == 503

    assert health.alive().status_code == 200


async def test_a_worker_that_hears_nothing_needs_no_queue(broker, parts):
    parts.work.decisions = type(parts.work.decisions)(SERVICE)

    assert (await Worker(parts).checks())["consumer"] is None


async def test_what_a_service_owns_is_opened_before_its_work_and_closed_after_it(broker, parts, sees):
    seen = []

    @asynccontextmanager
    async def own(its_parts):
        seen.append("opened")
        yield "mine"
        seen.append("closed")

    parts.service = replace(parts.service, own=own)
    async with Worker(parts).running():
        assert (parts.own, seen) == ("mine", ["opened"])

    assert seen == ["opened", "closed"]


@pytest.fixture
async def node(tmp_path):
    """A broker of this test's own, that it may kill."""
    state, supervisor = State.open(tmp_path), Supervisor(print)
    ports = [state.port(name) for name in ("rabbitmq", "rabbitmq.distribution", "epmd")]
    told = (state.secret("rabbitmq"), state.erlang_cookie)
    node = RabbitMQ(state.root / "rabbitmq", state.log("rabbitmq"), *ports, *told)
    epmd, server = node.prepare(ensure_installation(print), os.environ)
    await supervisor.start_ready(epmd)
    node_running = await supervisor.start_ready(server)
    yield node.url, node_running
    await supervisor.stop()


async def test_when_the_broker_is_killed_work_goes_on_when_it_is_back(node, service_url, sees, rows):
    url, process = node
    connection, broker = await open_broker(url)
    parts = ledger_edge.the_parts(service_url, url)
    worker = Worker(parts)
    async with worker.running():
        await eventually(lambda: is_ready(worker))
        await broker.tell(refunded(amount=1))
        await sees("SELECT balance FROM $S.accounts", (1,))

        os.kill(process.pid, signal.SIGKILL)
        await parts.pipeline.submit(Credit(new_id(), 2))
        await eventually(lambda: not worker.relay.active)
        assert await rows("SELECT published_at FROM $S.outbox") == [(None,)]
        await eventually(lambda: process.restarts == 1 and process.status == "ready")
        again, broker = await open_broker(url)

        await sees("SELECT published_at IS NOT NULL FROM $S.outbox", (True,))
        await eventually(lambda: is_ready(worker))
        await broker.tell(refunded(amount=4))
        await sees("SELECT balance FROM $S.accounts ORDER BY 1", (1,), (2,), (4,))

    await again.close()
    with suppress(Exception):
        await connection.close()
