"""The one way through every service, on a real PostgreSQL."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import pytest

from chassis import pipeline as chassis_pipeline
from chassis.context import start
from chassis.idempotency import Answer, Claim, KeyInUse, KeyReused
from chassis.ids import new_id
from chassis.items import Unavailable
from tests.support.envelopes import enveloped
from tests.support.eventually import eventually
from tests.support.ledger import SERVICE, Credit, Debit, Overdrawn, a_pipeline, not_refunded, refunded

USER = UUID(int=1)


def claimed(key="k", fingerprint=b"same"):
    return {
        "claim": Claim(USER, "credit", key, fingerprint),
        "render": lambda account: Answer(str(account.balance).encode(), 201, {"ETag": '"1"'}),
        "context": start(),
    }


async def test_what_waits_is_settled_in_one_transaction(idle, rows):
    account = uuid4()
    asked = [asyncio.create_task(idle.submit(Credit(account, n))) for n in (1, 2, 4)]
    await asyncio.sleep(0)

    assert await idle.step() is True
    assert await idle.step() is False

    assert [(await one).balance for one in asked] == [1, 3, 7]
    assert await rows("SELECT balance, version FROM $S.accounts") == [(7, 3)]
    assert await rows("SELECT topic, count FROM $S.outbox") == [("order.shipped", 3)]


@pytest.mark.parametrize("pace", [{"PACE": 1.0, "LONGEST_PACE": 1.0}, {"SHARE": 1e6, "LONGEST_PACE": 1.0}])
async def test_batches_begin_at_a_pace_so_that_more_is_settled_by_each(pipeline, rows, monkeypatch, pace):
    for name, seconds in pace.items():
        monkeypatch.setattr(chassis_pipeline, name, seconds)
    await pipeline.submit(Credit(uuid4(), 1))

    second = asyncio.create_task(pipeline.submit(Credit(uuid4(), 2)))
    await asyncio.sleep(0.05)
    await asyncio.gather(second, pipeline.submit(Credit(uuid4(), 4)))

    transactions = await rows("SELECT array_agg(balance ORDER BY balance) FROM $S.accounts GROUP BY xmin::text")
    assert sorted(transactions) == [([1],), ([2, 4],)]


async def test_a_whole_batch_and_what_is_left_at_the_end_wait_for_no_pace(pipeline, monkeypatch):
    monkeypatch.setattr(chassis_pipeline, "PACE", 3600.0)
    monkeypatch.setattr(chassis_pipeline, "LONGEST_PACE", 3600.0)
    await pipeline.submit(Credit(uuid4(), 1))

    await asyncio.gather(*(pipeline.submit(Credit(uuid4(), 1)) for _ in range(chassis_pipeline.BATCH_ITEMS)))


async def test_at_most_two_hundred_items_are_settled_at_once(idle):
    asked = [asyncio.create_task(idle.submit(Credit(uuid4(), 1))) for _ in range(201)]
    await asyncio.sleep(0)

    await idle.step()

    assert sum(one.done() for one in asked) == 0
    await asyncio.sleep(0)
    assert sum(one.done() for one in asked) == 200
    await idle.step()
    await asyncio.gather(*asked)


async def test_who_was_not_taken_in_time_is_told_to_ask_again_and_what_comes_from_within_waits(idle, rows, monkeypatch):
    monkeypatch.setattr(chassis_pipeline, "OVERDUE", 0.01)
    late = asyncio.create_task(idle.submit(Credit(uuid4(), 1), **claimed()))
    within = asyncio.create_task(idle.submit(Credit(uuid4(), 2)))
    await asyncio.sleep(0.05)

    await idle.step()

    with pytest.raises(Unavailable):
        await late
    assert (await within).balance == 2
    assert await rows("SELECT balance FROM $S.accounts") == [(2,)]


async def test_who_was_taken_is_told_in_time_that_nobody_knows_the_answer_and_hears_it_under_the_same_key(
    pipeline, ledger_url, rows, monkeypatch
):
    monkeypatch.setattr(chassis_pipeline, "OVERDUE", 0.05)
    owner = await asyncpg.connect(ledger_url)
    locked = owner.transaction()
    await locked.start()
    await owner.execute(f"LOCK TABLE {SERVICE}.accounts IN ACCESS EXCLUSIVE MODE")
    account = uuid4()

    with pytest.raises(Unavailable):
        await pipeline.submit(Credit(account, 1), **claimed("taken"))

    await locked.rollback()
    await owner.close()
    await eventually(lambda: _is(rows, (1,)))
    assert (await pipeline.submit(Credit(account, 1), **claimed("taken"))).replayed is True
    assert await rows("SELECT balance FROM $S.accounts") == [(1,)]


async def _is(rows, *balances):
    return await rows("SELECT balance FROM $S.accounts") == list(balances)


async def test_behind_a_batch_that_does_not_end_nobody_is_kept_waiting(pipeline, ledger_url, rows, monkeypatch):
    monkeypatch.setattr(chassis_pipeline, "OVERDUE", 1.0)
    owner = await asyncpg.connect(ledger_url)
    locked = owner.transaction()
    await locked.start()
    await owner.execute(f"LOCK TABLE {SERVICE}.accounts IN ACCESS EXCLUSIVE MODE")
    taken = asyncio.create_task(pipeline.submit(Credit(uuid4(), 1), **claimed("taken")))
    await asyncio.sleep(0.01)
    late = asyncio.create_task(pipeline.submit(Credit(uuid4(), 2), **claimed("late")))
    within = asyncio.create_task(pipeline.submit(Credit(uuid4(), 4)))

    with pytest.raises(Unavailable):
        await late
    with pytest.raises(Unavailable):
        await pipeline.submit(Credit(uuid4(), 8), **claimed("too late"))

    await locked.rollback()
    await owner.close()
    assert ((await taken).status, (await within).balance) == (201, 4)
    assert await rows("SELECT balance FROM $S.accounts ORDER BY 1") == [(1,), (4,)]
    assert (await pipeline.submit(Credit(uuid4(), 8), **claimed("again"))).status == 201


async def test_a_refusal_goes_to_the_one_who_asked_and_changes_nothing(pipeline, rows):
    rich, poor = uuid4(), uuid4()

    outcomes = await asyncio.gather(
        pipeline.submit(Credit(rich, 5)), pipeline.submit(Debit(poor, 1)), pipeline.submit(Debit(rich, 2)),
        return_exceptions=True,
    )  # fmt: skip

    assert isinstance(outcomes[1], Overdrawn)
    assert outcomes[2].balance == 3
    assert await rows("SELECT id, balance FROM $S.accounts") == [(rich, 3)]


async def test_commands_that_are_known_together_are_each_told_their_own(pipeline, rows):
    rich, poor = uuid4(), uuid4()

    told = await pipeline.submit_each([(Credit(rich, 5), start()), (Debit(poor, 1), start())], actor="system")

    assert told[0].balance == 5
    assert isinstance(told[1], Overdrawn)
    assert await rows("SELECT id, balance FROM $S.accounts") == [(rich, 5)]


async def test_commands_that_are_known_together_are_settled_though_their_caller_leaves(idle, rows):
    left = asyncio.create_task(idle.submit_each([(Credit(uuid4(), 1), start()), (Credit(uuid4(), 2), start())]))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)

    assert await idle.step() is True
    assert await rows("SELECT balance FROM $S.accounts ORDER BY balance") == [(1,), (2,)]


async def test_a_closed_pipeline_tells_those_who_are_known_together_to_ask_again(pipeline, rows):
    await pipeline.close()

    told = await pipeline.submit_each([(Credit(uuid4(), 1), start()), (Credit(uuid4(), 2), start())])

    assert [type(one) for one in told] == [Unavailable, Unavailable]
    assert await rows("SELECT 1 FROM $S.accounts") == []


async def test_a_parcel_that_comes_again_has_one_effect(pipeline, rows):
    order, parcel = uuid4(), new_id()
    envelopes = [enveloped(refunded(order, 10))]

    await asyncio.gather(*(pipeline.handle(parcel, envelopes) for _ in range(3)))
    await pipeline.handle(parcel, envelopes)

    assert await rows("SELECT balance FROM $S.accounts") == [(10,)]
    assert await rows("SELECT message_id FROM $S.inbox") == [(parcel,)]


async def test_the_event_that_fails_alone_is_deferred_and_its_neighbours_go_through(pipeline, rows):
    good, bad, parcel = uuid4(), uuid4(), new_id()

    await pipeline.handle(parcel, [enveloped(refunded(good)), enveloped(not_refunded(bad)), enveloped(refunded(good))])

    assert await rows("SELECT id, balance FROM $S.accounts") == [(good, 20)]
    assert await rows("SELECT message_id, index, subject, attempts, state FROM $S.deferred") == [
        (parcel, 1, str(bad), 1, "deferred")
    ]


async def test_the_command_that_fails_alone_is_answered_and_its_neighbours_go_through(idle, rows):
    lucky, unlucky = uuid4(), uuid4()
    asked = [asyncio.create_task(idle.submit(Credit(lucky, 1))), asyncio.create_task(idle.submit(Credit(unlucky, 13)))]
    await asyncio.sleep(0)

    await idle.step()

    assert (await asked[0]).balance == 1
    with pytest.raises(asyncpg.CheckViolationError):
        await asked[1]
    assert await rows("SELECT id FROM $S.accounts") == [(lucky,)]
    assert await rows("SELECT count FROM $S.outbox") == [(1,)]


async def test_later_events_of_a_subject_wait_behind_a_deferred_one_and_burn_no_attempt(pipeline, rows):
    order = uuid4()

    await pipeline.handle(new_id(), [enveloped(not_refunded(order)), enveloped(refunded(order))])
    await pipeline.handle(new_id(), [enveloped(refunded(order))])

    assert await rows("SELECT balance FROM $S.accounts") == []
    assert await rows("SELECT attempts FROM $S.deferred ORDER BY message_id, index") == [(1,), (0,), (0,)]


async def test_a_deferred_event_is_tried_again_and_its_row_goes_with_its_effect(idle, rows):
    order = uuid4()
    first = asyncio.create_task(idle.handle(new_id(), [enveloped(not_refunded(order)), enveloped(refunded(order, 7))]))
    await asyncio.sleep(0)
    await idle.step()
    await first
    [due] = [event for event in await _due(idle, rows) if event.attempts == 0]

    again = asyncio.create_task(idle.retry([due, due]))
    await asyncio.sleep(0)
    await idle.step()
    await again

    assert await rows("SELECT balance FROM $S.accounts") == [(7,)]
    assert await rows("SELECT attempts FROM $S.deferred") == [(1,)]


async def test_an_event_that_fails_eight_times_is_parked(idle, rows):
    first = asyncio.create_task(idle.handle(new_id(), [enveloped(not_refunded())]))
    await asyncio.sleep(0)
    await idle.step()
    await first
    for _ in range(7):
        [due] = await _due(idle, rows)
        again = asyncio.create_task(idle.retry([due]))
        await asyncio.sleep(0)
        await idle.step()
        await again

    assert await rows("SELECT attempts, state, last_error FROM $S.deferred") == [
        (8, "parked", "ArithmeticError('poison')")
    ]
    assert await _due(idle, rows) == []


async def _due(pipeline, rows):
    await rows("UPDATE $S.deferred SET not_before = now(), subject = message_id::text || index RETURNING 1")
    async with pipeline._database.transaction() as tx:
        return await pipeline._work.deferred.due(tx, 10)


async def test_the_same_key_and_request_is_answered_from_memory(pipeline, rows):
    account = uuid4()

    first = await pipeline.submit(Credit(account, 5), **claimed())
    again = await pipeline.submit(Credit(account, 5), **claimed())

    assert (first.content, first.status, first.replayed) == (b"5", 201, False)
    assert (again.content, again.status, again.headers, again.replayed) == (b"5", 201, {"ETag": '"1"'}, True)
    assert await rows("SELECT balance FROM $S.accounts") == [(5,)]


async def test_twins_in_one_batch_have_one_effect(idle, rows):
    account = uuid4()
    asked = [asyncio.create_task(idle.submit(Credit(account, 5), **claimed(fingerprint=f))) for f in (b"a", b"a", b"b")]
    await asyncio.sleep(0)

    await idle.step()

    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [outcome.replayed for outcome in outcomes[:2]] == [False, True]
    assert isinstance(outcomes[2], KeyReused)
    assert await rows("SELECT balance FROM $S.accounts") == [(5,)]


async def test_a_key_that_another_process_holds_is_in_use(pipeline, database):
    claim = claimed()["claim"]
    async with database.transaction() as tx:
        await tx.sql("SELECT pg_advisory_xact_lock($1)", claim.lock)

        with pytest.raises(KeyInUse):
            await pipeline.submit(Credit(uuid4(), 5), **claimed())


async def test_a_refusal_frees_its_key(pipeline):
    account = uuid4()
    with pytest.raises(Overdrawn):
        await pipeline.submit(Debit(account, 5), **claimed())
    await pipeline.submit(Credit(account, 5))

    answer = await pipeline.submit(Debit(account, 5), **claimed())

    assert (answer.content, answer.replayed) == (b"0", False)


async def test_two_processes_that_add_one_thing_at_once_both_have_their_effect(pipeline, database, rows):
    account, other = uuid4(), a_pipeline(database)
    both = [asyncio.create_task(p.submit(Credit(account, 1))) for p in (pipeline, other) for _ in range(20)]
    await asyncio.sleep(0)

    await asyncio.gather(other.step(), *both)

    assert await rows("SELECT balance, version FROM $S.accounts") == [(40, 40)]


async def test_a_command_whose_caller_has_left_is_not_taken(idle, rows):
    left = asyncio.create_task(idle.submit(Credit(uuid4(), 1)))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)

    assert await idle.step() is False
    assert await rows("SELECT 1 FROM $S.accounts") == []


async def test_a_command_that_was_taken_runs_to_the_end_without_its_caller(idle, rows):
    asked = asyncio.create_task(idle.submit(Credit(uuid4(), 1), **claimed()))
    await asyncio.sleep(0)
    step = asyncio.create_task(idle.step())
    await asyncio.sleep(0)
    asked.cancel()

    assert await step is True
    assert await rows("SELECT balance FROM $S.accounts") == [(1,)]
    assert await rows("SELECT key FROM $S.idempotency") == [("k",)]


async def test_while_the_database_is_away_callers_are_told_and_facts_wait(idle, database, rows):
    order = uuid4()
    asked = asyncio.create_task(idle.submit(Credit(uuid4(), 1)))
    fact = asyncio.create_task(idle.handle(new_id(), [enveloped(refunded(order, 3))]))
    await asyncio.sleep(0)
    await database.close()

    await idle.step()

    with pytest.raises(Unavailable):
        await asked
    assert not fact.done()
    await database.open()
    await idle.step()
    await fact
    assert await rows("SELECT balance FROM $S.accounts") == [(3,)]


async def test_a_closed_pipeline_settles_what_waits_and_takes_no_command(pipeline):
    asked = asyncio.create_task(pipeline.submit(Credit(uuid4(), 1)))
    await asyncio.sleep(0)

    await pipeline.close()

    assert (await asked).balance == 1
    with pytest.raises(Unavailable):
        await pipeline.submit(Credit(uuid4(), 1))


async def test_events_carry_their_cause_and_repeat_their_ids(pipeline, rows):
    asked = start("req-1", "00-" + "a" * 32 + "-" + "b" * 16 + "-01")

    await pipeline.submit(Credit(uuid4(), 1), context=asked)

    [(event,)] = await rows("SELECT events::json->0 FROM $S.outbox")
    assert '"correlationid":"req-1"' in event
    assert f'"traceparent":"{asked.traceparent}"' in event
    assert '"sequence":"1"' in event
    assert '"source":"/ledger_service"' in event
