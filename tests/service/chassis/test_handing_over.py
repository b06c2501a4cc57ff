"""What is claimed by the step that makes it: handed over after a known commit, and only then; room is always kept."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from chassis import pipeline as chassis_pipeline
from chassis.handover import Handover
from chassis.ids import new_id
from tests.service.chassis.test_failing_batches import together
from tests.support.envelopes import enveloped
from tests.support.ledger import Credit, a_pipeline, not_refunded


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(chassis_pipeline, "LONGEST_PAUSE", 0.05)


class Loop:
    """Has room for so many; what it was given is in ``begun``, and what room was left then in ``room``."""

    def __init__(self, pipeline, most=10):
        self.begun = []
        self.room = []
        self.handover = pipeline.handover = Handover(timedelta(seconds=30), lambda: most, self.begin)

    def begin(self, works, since):
        assert since <= asyncio.get_running_loop().time()
        self.begun.append(list(works))
        self.room.append(self.handover.room)


async def test_what_a_batch_claims_is_handed_over_once_it_is_committed(database, rows):
    pipeline = a_pipeline(database)
    loop, accounts = Loop(pipeline), [uuid4(), uuid4()]

    await together(pipeline, *(pipeline.submit(Credit(account, 1)) for account in accounts))

    assert (loop.begun, loop.room, loop.handover.room) == ([accounts], [8], 10)
    assert await rows("SELECT count(*) FROM $S.accounts") == [(2,)]


async def test_where_nothing_is_handed_over_nothing_is_claimed(idle):
    [account] = await together(idle, idle.submit(Credit(uuid4(), 1)))

    assert account.balance == 1


async def test_what_fails_alone_is_not_handed_over_and_keeps_no_room(idle):
    loop, lucky, unlucky = Loop(idle), uuid4(), uuid4()

    await together(idle, idle.submit(Credit(unlucky, 13)), idle.submit(Credit(lucky, 1)))

    assert (loop.begun, loop.handover.room) == ([[lucky]], 10)


async def test_a_fact_that_is_deferred_does_not_keep_its_neighbours_from_being_handed_over(idle):
    loop, lucky = Loop(idle), uuid4()

    await together(idle, idle.handle(new_id(), [enveloped(not_refunded())]), idle.submit(Credit(lucky, 1)))

    assert loop.begun == [[lucky]]


async def test_a_batch_that_meets_a_conflict_is_handed_over_once(database):
    pipeline = a_pipeline(database, asyncpg.DeadlockDetectedError(), asyncpg.SerializationError())
    loop, account = Loop(pipeline), uuid4()

    await together(pipeline, pipeline.submit(Credit(account, 1)))

    assert (loop.begun, loop.handover.room) == ([[account]], 10)


async def test_what_was_rolled_back_is_not_handed_over(database, rows):
    pipeline = a_pipeline(database, ConnectionError())
    loop = Loop(pipeline)

    await together(pipeline, pipeline.submit(Credit(uuid4(), 1)))

    assert (loop.begun, loop.handover.room) == ([], 10)
    assert await rows("SELECT * FROM $S.accounts") == []


async def test_what_was_committed_without_our_knowing_is_not_handed_over(database, rows, monkeypatch):
    pipeline = a_pipeline(database)
    loop, transaction = Loop(pipeline), database.transaction

    @asynccontextmanager
    async def without_an_answer():
        async with transaction() as tx:
            yield tx
        raise ConnectionError

    monkeypatch.setattr(database, "transaction", without_an_answer)
    await together(pipeline, pipeline.submit(Credit(uuid4(), 1)))

    assert (loop.begun, loop.handover.room) == ([], 10)
    assert await rows("SELECT count(*) FROM $S.accounts") == [(1,)]


async def test_no_more_is_claimed_than_there_is_room_for_and_the_loop_learns_that_something_is_left(idle):
    loop, accounts = Loop(idle, most=2), [uuid4() for _ in range(3)]

    await together(idle, *(idle.submit(Credit(account, 1)) for account in accounts))

    assert (loop.begun, loop.room, loop.handover.room) == ([accounts[:2]], [0], 2)
    assert loop.handover.left.count == 1


async def test_a_loop_that_has_room_is_not_woken(idle):
    loop = Loop(idle)

    await together(idle, idle.submit(Credit(uuid4(), 1)))

    assert loop.handover.left.count == 0


async def test_what_is_not_offered_is_not_claimed_and_the_loop_is_not_woken_for_it(idle):
    loop, [first, second, third] = Loop(idle), [uuid4() for _ in range(3)]
    loop.handover.offers = lambda _claimed: lambda work: work != second

    await together(idle, *(idle.submit(Credit(account, 1)) for account in (first, second, third)))

    assert (loop.begun, loop.room, loop.handover.left.count) == ([[first, third]], [8], 0)


async def test_of_what_its_items_claim_alone_a_batch_tells_who_offers(database):
    pipeline = a_pipeline(database)
    loop, accounts, told = Loop(pipeline), [uuid4(), uuid4()], []
    loop.handover.offers = lambda claimed: told.append(list(claimed)) or (lambda _work: True)

    await together(
        pipeline, *(pipeline.submit(Credit(account, 1)) for account in accounts), pipeline.submit(Credit(uuid4(), 13))
    )

    assert told == [[], [], accounts[:1], accounts]


async def test_what_the_loop_is_claiming_itself_is_room_that_is_taken(idle):
    loop, account = Loop(idle, most=2), uuid4()

    with loop.handover.reserved(2):
        await together(idle, idle.submit(Credit(account, 1)))

    assert (loop.begun, loop.handover.left.count, loop.handover.room) == ([], 1, 2)
