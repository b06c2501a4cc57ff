"""What goes wrong in a batch: whom it concerns, and that nobody else is harmed."""

import asyncio
from contextlib import suppress
from functools import partial
from uuid import uuid4

import asyncpg
import pytest

from chassis import outbox as chassis_outbox
from chassis import pipeline as chassis_pipeline
from chassis.context import start
from chassis.deferred import Deferred, storable
from chassis.idempotency import Answer, Claim, KeyReused
from chassis.ids import new_id
from chassis.items import Unavailable
from chassis.tasks import running
from tests.support.envelopes import enveloped
from tests.support.eventually import eventually
from tests.support.ledger import Credit, Debit, a_pipeline, not_refunded, refunded


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(chassis_pipeline, "LONGEST_PAUSE", 0.05)


async def together(pipeline, *works):
    """Puts all works into one batch, and gives their outcomes."""
    waiting = [asyncio.ensure_future(work) for work in works]
    await asyncio.sleep(0)
    await pipeline.step()
    done, open_still = await asyncio.wait(waiting, timeout=0.05)
    for work in open_still:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
    return [(one.exception() or one.result()) if one in done else "waits" for one in waiting]


def keyed(account, amount, key="k", fingerprint=b"same"):
    return {
        "body": Credit(account, amount),
        "claim": Claim(account, "credit", key, fingerprint),
        "render": lambda thing: Answer(str(thing.balance).encode()),
        "context": start(),
    }


async def test_commands_after_one_that_fails_alone_go_through(idle, rows):
    unlucky, lucky, poor = uuid4(), uuid4(), uuid4()

    outcomes = await together(
        idle, idle.submit(Credit(unlucky, 13)), idle.submit(Credit(lucky, 1)), idle.submit(Debit(poor, 1)),
        idle.handle(new_id(), [enveloped(refunded(lucky, 2))]),
    )  # fmt: skip

    assert [type(outcome).__name__ for outcome in outcomes] == [
        "CheckViolationError",
        "Account",
        "Overdrawn",
        "NoneType",
    ]
    assert await rows("SELECT id, balance FROM $S.accounts") == [(lucky, 3)]


async def test_who_would_tell_more_than_a_parcel_holds_fails_alone(idle, rows, monkeypatch):
    talker, lucky = uuid4(), uuid4()
    monkeypatch.setattr(chassis_outbox, "PARCEL_BYTES", 10)

    outcomes = await together(idle, idle.submit(Credit(talker, 1)), idle.submit(Debit(lucky, 0)))

    assert [type(outcome).__name__ for outcome in outcomes] == ["ValueError", "Account"]
    assert await rows("SELECT id FROM $S.accounts") == [(lucky,)]
    assert await rows("SELECT topic FROM $S.outbox") == []


async def test_twins_are_answered_alike_when_the_batch_runs_one_by_one(idle, rows):
    account = uuid4()
    twins = [idle.submit(**keyed(account, 5)), idle.submit(**keyed(account, 5))]
    stranger = idle.submit(**keyed(account, 5, fingerprint=b"other"))

    outcomes = await together(idle, *twins, stranger, idle.submit(Credit(uuid4(), 13)))

    assert [(answer.content, answer.replayed) for answer in outcomes[:2]] == [(b"5", False), (b"5", True)]
    assert isinstance(outcomes[2], KeyReused)
    assert await rows("SELECT balance FROM $S.accounts") == [(5,)]


async def test_a_refusal_of_a_fact_is_an_error_of_ours_and_defers_it(idle, rows):
    await together(idle, idle.handle(new_id(), [enveloped(not_refunded(code="refused"))]))

    [(error, state)] = await rows("SELECT last_error, state FROM $S.deferred")
    assert (error.startswith("TypeError"), state) == (True, "deferred")


async def test_a_fact_that_changes_nothing_is_settled(idle, rows):
    assert await together(idle, idle.handle(new_id(), [enveloped(not_refunded(code="card_closed"))])) == [None]

    assert await rows("SELECT count(*) FROM $S.inbox") == [(1,)]
    assert await rows("SELECT 1 FROM $S.deferred") == []


async def test_a_parcel_without_anything_for_this_service_is_settled(idle, rows):
    assert await together(idle, idle.handle(new_id(), [])) == [None]

    assert await rows("SELECT count(*) FROM $S.inbox") == [(1,)]


async def test_an_event_that_waits_in_a_batch_one_by_one_keeps_its_place_behind_the_one_that_failed(idle, rows):
    order, other, parcel = uuid4(), uuid4(), new_id()
    facts = [not_refunded(order), not_refunded(order, "late"), not_refunded(other, "fine")]

    await together(idle, idle.handle(parcel, [enveloped(fact) for fact in facts]))

    assert await rows("SELECT index, attempts FROM $S.deferred ORDER BY index") == [(0, 1), (1, 0)]


LONG = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(20_000))


@pytest.mark.parametrize("subject", [LONG, "a\0b", "\ud800"], ids=["too long", "NUL", "half a character"])
async def test_what_cannot_even_be_deferred_is_parked_as_it_can_be_kept(idle, rows, subject):
    broken, good, other = new_id(), refunded(amount=3), not_refunded()

    async with idle._database.transaction() as tx:
        row = Deferred(broken, 0, "refund.failed", subject, f"[{subject}]", 1, f"it says {subject}")
        await idle._work.deferred.add(tx, [row, Deferred(new_id(), 0, other.topic, other.subject, "[]", 1, "why")])
    await together(idle, idle.handle(new_id(), [enveloped(good)]))

    [(parcel, kept, error)] = await rows(
        "SELECT message_id, subject, last_error FROM $S.deferred WHERE state = 'parked'"
    )
    assert (parcel, kept) == (broken, storable(subject)[:255])
    assert "could not be kept as it is. it says" in error
    assert await rows("SELECT subject FROM $S.deferred WHERE state = 'deferred'") == [(other.subject,)]
    assert await rows("SELECT balance FROM $S.accounts") == [(3,)]


async def test_an_event_that_fails_alone_and_cannot_be_deferred_stops_nobody(idle, rows):
    broken = enveloped(not_refunded()).model_copy(update={"subject": LONG})

    assert await together(
        idle, idle.handle(new_id(), [broken]), idle.handle(new_id(), [enveloped(refunded(amount=3))])
    ) == [None, None]

    assert await rows("SELECT state FROM $S.deferred") == [("parked",)]
    assert await rows("SELECT balance FROM $S.accounts") == [(3,)]


async def test_an_event_that_failed_before_holds_up_its_successors_when_it_fails_again(idle, rows):
    order, first, second = uuid4(), new_id(), new_id()
    await together(idle, idle.handle(first, [enveloped(not_refunded(order))]))
    await rows("UPDATE $S.deferred SET not_before = now() RETURNING 1")
    async with idle._database.transaction() as tx:
        [due] = await idle._work.deferred.due(tx, 10)

    outcomes = await together(idle, idle.retry([due]), idle.handle(second, [enveloped(refunded(order))]))

    assert outcomes == [True, None]
    assert await rows("SELECT message_id, attempts FROM $S.deferred ORDER BY created_at, attempts DESC") == [
        (first, 2),
        (second, 0),
    ]


async def test_a_conflict_is_decided_again_and_nobody_notices(database, rows):
    pipeline = a_pipeline(database, asyncpg.SerializationError(), asyncpg.DeadlockDetectedError())

    [account] = await together(pipeline, pipeline.submit(Credit(uuid4(), 1)))

    assert (account.balance, await rows("SELECT balance FROM $S.accounts")) == (1, [(1,)])


async def test_after_three_conflicts_the_batch_runs_one_by_one(database, rows):
    pipeline = a_pipeline(database, *[asyncpg.SerializationError()] * 3, asyncpg.DeadlockDetectedError(), None)
    first, second = uuid4(), uuid4()

    outcomes = await together(pipeline, pipeline.submit(Credit(first, 1)), pipeline.submit(Credit(second, 1)))

    assert isinstance(outcomes[0], asyncpg.DeadlockDetectedError)
    assert await rows("SELECT id FROM $S.accounts") == [(second,)]


@pytest.mark.parametrize("mood", [ConnectionResetError(), asyncpg.InternalClientError(), asyncpg.AdminShutdownError()])
async def test_when_the_connection_is_lost_nothing_is_rerun_and_callers_are_told_to_ask_again(database, rows, mood):
    pipeline = a_pipeline(database, mood)
    fact = asyncio.ensure_future(pipeline.handle(new_id(), [enveloped(refunded(amount=3))]))

    [outcome] = await together(pipeline, pipeline.submit(Credit(uuid4(), 1)))

    assert isinstance(outcome, Unavailable)
    assert await rows("SELECT 1 FROM $S.accounts") == []
    assert not fact.done()
    await pipeline.step()
    await fact
    assert await rows("SELECT balance FROM $S.accounts") == [(3,)]


async def test_a_connection_that_is_lost_between_items_burns_no_attempt(database, rows):
    pipeline = a_pipeline(database, ValueError("together"), None, ConnectionResetError())
    fact = asyncio.ensure_future(pipeline.handle(new_id(), [enveloped(refunded(amount=n)) for n in (1, 2)]))
    await asyncio.sleep(0)

    await pipeline.step()

    assert not fact.done()
    assert await rows("SELECT 1 FROM $S.deferred UNION ALL SELECT 1 FROM $S.accounts") == []
    await pipeline.step()
    await fact
    assert await rows("SELECT balance FROM $S.accounts ORDER BY 1") == [(1,), (2,)]


async def test_facts_that_were_interrupted_keep_their_order(database, rows):
    pipeline, order = a_pipeline(database, OSError()), uuid4()
    facts = [asyncio.ensure_future(pipeline.handle(new_id(), [enveloped(refunded(order, n))])) for n in (1, 2)]
    await asyncio.sleep(0)
    await pipeline.step()
    later = asyncio.ensure_future(pipeline.handle(new_id(), [enveloped(refunded(order, 4))]))
    await asyncio.sleep(0)

    assert [entry.envelopes[0].data.amount.amount for entry in pipeline._waiting] == [1, 2, 4]

    await pipeline.step()
    await asyncio.gather(*facts, later)
    assert await rows("SELECT balance, version FROM $S.accounts") == [(7, 3)]


async def test_a_deferred_event_that_was_interrupted_stays_as_it_was(database, rows):
    pipeline, parcel = a_pipeline(database, None, None, OSError()), new_id()
    await together(pipeline, pipeline.handle(parcel, [enveloped(not_refunded())]))
    await rows("UPDATE $S.deferred SET not_before = now() RETURNING 1")
    async with database.transaction() as tx:
        [due] = await pipeline._work.deferred.due(tx, 10)

    assert await together(pipeline, pipeline.retry([due])) == [False]

    assert await rows("SELECT attempts, state FROM $S.deferred") == [(1, "deferred")]


async def test_after_an_interruption_callers_are_refused_at_once_until_the_pause_is_over(database, monkeypatch):
    monkeypatch.setattr(chassis_pipeline, "LONGEST_PAUSE", 0.4)
    pipeline = a_pipeline(database, OSError(), OSError())
    for _ in range(2):
        asked = asyncio.ensure_future(pipeline.submit(Credit(uuid4(), 1)))
        await asyncio.sleep(0)
        step = asyncio.ensure_future(pipeline.step())
        with pytest.raises(Unavailable):
            await asked
        with pytest.raises(Unavailable):
            await asyncio.wait_for(pipeline.submit(Credit(uuid4(), 1)), 0.01)
        await step

    assert [type(outcome).__name__ for outcome in await together(pipeline, pipeline.submit(Credit(uuid4(), 1)))] == [
        "Account"
    ]
    assert pipeline._pause == 0.0


async def test_a_batch_that_fails_as_a_whole_tells_its_callers_and_keeps_its_facts(idle, rows):
    fact = asyncio.ensure_future(idle.handle(new_id(), [enveloped(refunded(amount=3))]))

    outcomes = await together(idle, idle.submit("no decision names a text"), idle.submit(Credit(uuid4(), 1)))

    assert [type(outcome) for outcome in outcomes] == [Unavailable, Unavailable]
    await idle.step()
    await fact
    assert await rows("SELECT balance FROM $S.accounts") == [(3,)]


@pytest.fixture
async def no_commit(rows):
    """Every commit that adds an account fails, until the function that this gives is awaited."""
    await rows(
        "CREATE FUNCTION $S.refuse_commit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE NO_DATA_FOUND; END'"
    )
    await rows(
        "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON $S.accounts DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION $S.refuse_commit()"
    )
    allow = partial(rows, "DROP FUNCTION IF EXISTS $S.refuse_commit() CASCADE")
    yield allow
    await allow()


async def test_what_is_not_committed_is_neither_answered_nor_acknowledged(idle, rows, no_commit):
    fact = asyncio.ensure_future(idle.handle(new_id(), [enveloped(refunded(amount=3))]))

    [outcome] = await together(idle, idle.submit(Credit(uuid4(), 1)))

    assert isinstance(outcome, Unavailable)
    assert not fact.done()
    assert await rows("SELECT id FROM $S.outbox UNION ALL SELECT message_id FROM $S.inbox") == []
    await no_commit()
    await idle.step()
    await fact
    assert await rows("SELECT balance FROM $S.accounts") == [(3,)]


async def test_when_too_much_waits_callers_are_refused_at_once(idle, monkeypatch):
    monkeypatch.setattr(chassis_pipeline, "WAITING_ITEMS", 2)
    waiting = [asyncio.ensure_future(idle.submit(Credit(uuid4(), 1))) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(Unavailable):
        await idle.submit(Credit(uuid4(), 1))

    await idle.step()
    await asyncio.gather(*waiting)
    await asyncio.gather(idle.step(), idle.submit(Credit(uuid4(), 1)), idle.step())


async def test_what_came_just_before_the_end_is_settled(idle, rows):
    async with running(idle.run()):
        await asyncio.sleep(0)
        asked = asyncio.ensure_future(idle.submit(Credit(uuid4(), 1)))
        await asyncio.sleep(0)
        await idle.close()

    assert asked.done()
    assert await rows("SELECT balance FROM $S.accounts") == [(1,)]


async def test_the_end_does_not_wait_for_ever(database, monkeypatch):
    monkeypatch.setattr(chassis_pipeline, "CLOSING", 0.05)
    pipeline = a_pipeline(database)
    fact = asyncio.ensure_future(pipeline.handle(new_id(), [enveloped(refunded())]))
    await asyncio.sleep(0)

    await asyncio.wait_for(pipeline.close(), 1)

    assert not fact.done()
    fact.cancel()
    assert await pipeline.step() is False


async def test_a_pipeline_wakes_for_what_comes_while_it_is_idle(pipeline):
    seen = pipeline.committed.count
    await eventually(pipeline._idle.is_set)

    assert (await pipeline.submit(Credit(uuid4(), 1))).balance == 1

    await asyncio.wait_for(pipeline.committed.after(seen, 60), 1)
