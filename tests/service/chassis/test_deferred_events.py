"""The deferred runner: what failed comes again, and what may have killed a process runs alone and is counted."""

import asyncio

import pytest

from chassis import worker
from chassis.batch import Batch
from chassis.deferred import Deferred
from chassis.ids import new_id
from chassis.tasks import running
from chassis.worker import retry_deferred
from contracts.envelope import encode
from contracts.orders import OrderCreated
from contracts.types import OrderId, UserId
from tests.support import ledger_edge
from tests.support.envelopes import enveloped
from tests.support.eventually import eventually
from tests.support.ledger import Moody, not_refunded, refunded


@pytest.fixture
async def parts(database, service_url):
    parts = ledger_edge.the_parts(service_url)
    await parts.database.open()
    async with running(parts.pipeline.run()):
        yield parts
        await parts.pipeline.close()
    await parts.database.close()


@pytest.fixture
def keep(parts):
    """Puts events into the table, due now."""

    async def keep(event, parcel=None, index=0, **given):
        envelope = enveloped(event)
        facts = {"topic": envelope.type, "subject": envelope.subject, "body": encode([envelope]).decode()}
        row = Deferred(parcel or new_id(), index, **{**facts, "attempts": 0, "error": "redelivered"} | given)
        async with parts.database.transaction() as tx:
            await parts.work.deferred.add(tx, [row])
            await tx.sql("UPDATE ledger_service.deferred SET not_before = now()")
        return row

    return keep


@pytest.fixture
def left(rows):
    async def left():
        return await rows("SELECT index, attempts, state, careful FROM $S.deferred ORDER BY message_id, index")

    return left


async def test_what_is_due_is_tried_again_and_goes_with_its_effect(parts, keep, left, rows):
    await keep(refunded(amount=1), attempts=3)
    await keep(refunded(amount=2), careful=True)

    assert await retry_deferred(parts) is True
    assert await retry_deferred(parts) is False

    assert await rows("SELECT balance FROM $S.accounts ORDER BY 1") == [(1,), (2,)]
    assert await left() == []


async def test_what_fails_again_waits_longer(parts, keep, left):
    await keep(not_refunded(), attempts=3)

    await retry_deferred(parts)

    assert await left() == [(0, 4, "deferred", False)]


async def test_what_is_not_due_waits(parts, keep, left, rows):
    await keep(refunded())
    await rows("UPDATE $S.deferred SET not_before = now() + interval '1 h' RETURNING 1")

    assert await retry_deferred(parts) is False
    assert len(await left()) == 1


async def test_of_a_subject_only_the_first_event_is_tried(parts, keep, left, rows):
    order, other = not_refunded().order_id, refunded(amount=4)
    first = await keep(not_refunded(order))
    await keep(refunded(order), parcel=first.message_id, index=1)
    await keep(other)

    await retry_deferred(parts)

    assert await left() == [(0, 1, "deferred", False), (1, 0, "deferred", False)]
    assert await rows("SELECT balance FROM $S.accounts") == [(4,)]


async def test_nothing_waits_behind_a_parked_event(parts, keep, left, rows):
    order = refunded().order_id
    await keep(not_refunded(order), attempts=7)
    await keep(refunded(order, 3))

    await retry_deferred(parts)
    await retry_deferred(parts)

    assert await left() == [(0, 8, "parked", False)]
    assert await rows("SELECT balance FROM $S.accounts") == [(3,)]


async def test_a_start_of_a_careful_event_is_committed_before_it_runs(parts, keep, left, monkeypatch):
    """Seen from the transaction in which it runs: its row says that it was started."""
    seen, tried = [], Batch.together

    async def look_first(batch, tx):
        seen.append(await left())
        await tried(batch, tx)

    monkeypatch.setattr(Batch, "together", look_first)
    await keep(refunded(), careful=True)

    await retry_deferred(parts)

    assert seen[-1] == [(0, 1, "deferred", True)]
    assert await left() == []


async def test_an_event_that_kills_its_process_is_parked_at_its_third_start_and_its_neighbours_go_through(
    parts, keep, left, rows
):
    parcel = new_id()
    killer = await keep(refunded(amount=666), parcel, 0, careful=True)
    await keep(refunded(amount=7), parcel, 1, careful=True)
    for _ in range(2):
        async with parts.database.transaction() as tx:
            assert await parts.work.deferred.start(tx, killer) == "deferred"
        await rows("UPDATE $S.deferred SET not_before = now() RETURNING 1")

    await retry_deferred(parts)

    assert await left() == [(0, 3, "parked", True)]
    assert await rows("SELECT balance FROM $S.accounts") == [(7,)]
    assert await rows("SELECT last_error FROM $S.deferred") == [("its process died, or was stopped, at start 3",)]


@pytest.fixture
def suspect(parts, keep, rows):
    """An event with which two processes have died."""

    async def suspect(event):
        row = await keep(event, careful=True)
        for _ in range(2):
            async with parts.database.transaction() as tx:
                await parts.work.deferred.start(tx, row)
            await rows("UPDATE $S.deferred SET not_before = now() RETURNING 1")
        return row

    return suspect


async def test_an_event_that_two_accidents_have_hit_is_settled_apart_from_all_others(parts, suspect, left, rows):
    tried = []

    async def apart(event):
        tried.append(event.key)
        return await parts.pipeline.retry([event])

    parts.apart = apart
    innocent = await suspect(refunded(amount=7))

    await retry_deferred(parts)

    assert tried == [innocent.key]
    assert await left() == []
    assert await rows("SELECT balance FROM $S.accounts") == [(7,)]


async def test_an_event_that_kills_a_third_process_apart_from_all_others_is_parked(parts, suspect, keep, left, rows):
    tried = []

    async def apart(event):
        tried.append(event.key)
        return False

    parts.apart = apart
    killer = await suspect(refunded(amount=666))
    await keep(refunded(amount=7), careful=True)

    await retry_deferred(parts)
    await retry_deferred(parts)

    assert tried == [killer.key]
    assert await left() == [(0, 3, "parked", True)]
    assert await rows("SELECT last_error FROM $S.deferred") == [("its process died at start 3, apart from others",)]
    assert await rows("SELECT balance FROM $S.accounts") == [(7,)]


async def test_a_careful_event_is_tried_with_the_others_twice_before_it_is_tried_apart(parts, keep, left):
    async def apart(_event):
        raise AssertionError("it has not killed anybody")

    parts.apart = apart
    event = await keep(refunded(), careful=True)
    async with parts.database.transaction() as tx:
        assert await parts.work.deferred.start(tx, event, apart=True) == "deferred"
        await tx.sql("UPDATE ledger_service.deferred SET not_before = now()")

    await retry_deferred(parts)

    assert await left() == []


async def test_a_careful_event_that_another_process_has_started_is_left_to_it(parts, keep, left, rows):
    started = await keep(refunded(), careful=True)
    async with parts.database.transaction() as tx:
        first = await parts.work.deferred.start(tx, started)
        second = await parts.work.deferred.start(tx, started)

    assert (first, second) == ("deferred", "gone")
    assert await retry_deferred(parts) is False
    [(wait,)] = await rows("SELECT extract(epoch FROM not_before - now())::float FROM $S.deferred")
    assert 8 < wait <= 10


async def test_a_careful_event_that_is_gone_is_not_tried(parts, keep, left, rows):
    gone = await keep(refunded(), careful=True)
    await rows("DELETE FROM $S.deferred RETURNING 1")

    await worker._retry_carefully(parts, gone)

    assert await rows("SELECT 1 FROM $S.accounts") == []


async def test_a_careful_event_that_fails_is_an_event_that_failed(parts, keep, left):
    await keep(not_refunded(), careful=True)

    await retry_deferred(parts)

    assert await left() == [(0, 1, "deferred", False)]


async def test_an_outage_is_no_death_and_its_start_does_not_count(parts, keep, left, monkeypatch):
    monkeypatch.setattr(worker, "UNCOUNT", 0.01)
    parts.work.store = Moody(ConnectionResetError())
    await keep(refunded(), careful=True)

    await retry_deferred(parts)

    assert await left() == [(0, 0, "deferred", True)]


async def test_a_start_is_taken_back_as_soon_as_the_database_is_there_again(parts, keep, left, monkeypatch):
    monkeypatch.setattr(worker, "UNCOUNT", 0.01)
    await keep(refunded(), careful=True)

    class Away(Moody):
        async def load(self, tx, keys):
            await parts.database.close()
            raise ConnectionResetError

    parts.work.store = Away()
    retried = asyncio.ensure_future(retry_deferred(parts))
    await eventually(lambda: parts.database._pool._pool is None)
    assert await left() == [(0, 1, "deferred", True)]
    await parts.database.open()
    await retried

    assert await left() == [(0, 0, "deferred", True)]


@pytest.mark.parametrize("given", [{"body": "{"}, {"topic": "nobody.told"}, {"topic": "order.created"}])
async def test_what_this_release_cannot_read_is_parked_and_holds_up_nobody(parts, keep, left, rows, given):
    await keep(refunded(), **given)
    await keep(refunded(amount=3))

    assert await retry_deferred(parts) is True

    assert await left() == [(0, 0, "parked", False)]
    assert await rows("SELECT balance FROM $S.accounts") == [(3,)]


async def test_an_event_that_nobody_listens_to_any_more_is_parked_with_the_reason(parts, keep, rows):
    event = OrderCreated(order_id=OrderId(new_id()), customer_id=UserId(new_id()), lines=())
    await keep(event)

    await retry_deferred(parts)

    assert await rows("SELECT state, last_error FROM $S.deferred") == [("parked", "no decision names it any more")]


async def test_an_event_is_kept_once_however_often_it_is_deferred(parts, keep, left):
    row = await keep(refunded(), attempts=2)

    async with parts.database.transaction() as tx:
        await parts.work.deferred.add(tx, [row])
        await parts.work.deferred.add(tx, [])

    assert await left() == [(0, 2, "deferred", False)]
