"""What takes longer than one transaction may: it is tried in smaller batches, alone it fails, and others go on."""

import asyncio
from itertools import repeat
from uuid import uuid4

import httpx2
import pytest

from chassis import database as chassis_database
from chassis import pipeline as chassis_pipeline
from chassis import share as chassis_share
from chassis.api import api
from chassis.context import start
from chassis.database import OUTAGE, Database, TooLong
from chassis.ids import new_id, typeid
from chassis.items import Unavailable
from chassis.tasks import running
from tests.support import ledger_edge
from tests.support.cable import Cable
from tests.support.envelopes import enveloped
from tests.support.eventually import eventually
from tests.support.ledger import Credit, a_pipeline, refunded

SLOW, STUCK, TIMED_OUT = 1000, 2000, 3000
ADD = "INSERT INTO ledger_service.accounts VALUES (gen_random_uuid(), 1, 1)"


@pytest.fixture(autouse=True)
async def slow(rows, monkeypatch):
    """Balances from 1000 on take 0.4 s each to add; those from 2000 on do not end; from 3000 on the server ends it."""
    monkeypatch.setattr(chassis_pipeline, "LONGEST_PAUSE", 0.02)
    await rows(
        "CREATE FUNCTION $S.takes_long() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.balance >= {TIMED_OUT} THEN RAISE 'too long' USING ERRCODE = '25P04';"
        f" ELSIF NEW.balance >= {STUCK} THEN PERFORM pg_sleep(60);"
        f" ELSIF NEW.balance >= {SLOW} THEN PERFORM pg_sleep(0.4); END IF; RETURN NEW; END $$"
    )
    await rows("CREATE TRIGGER slow BEFORE INSERT ON $S.accounts FOR EACH ROW EXECUTE FUNCTION $S.takes_long()")
    yield
    await rows("DROP FUNCTION $S.takes_long() CASCADE")


@pytest.fixture
async def impatient(service_url):
    """Its transactions may take a second."""
    database = Database(service_url, longest=1.0)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def hurried(impatient):
    pipeline = a_pipeline(impatient)
    async with running(pipeline.run()):
        yield pipeline
        await pipeline.close()


async def balances(rows):
    return sorted(balance for (balance,) in await rows("SELECT balance FROM $S.accounts"))


# --- a transaction


async def ask(database, *statements, pause=0.0):
    async with database.transaction() as tx:
        for statement in statements:
            await tx.sql(statement)
            await asyncio.sleep(pause)


async def test_a_transaction_that_takes_too_long_is_undone_and_its_connection_works_on(impatient, rows):
    async with impatient.transaction() as tx:
        [(before,)] = await tx.sql("SELECT pg_backend_pid()")

    with pytest.raises(TooLong):
        await ask(impatient, ADD, "SELECT pg_sleep(60)")

    async with impatient.transaction() as tx:
        [(after,)] = await tx.sql("SELECT pg_backend_pid()")
    assert before == after
    assert await balances(rows) == []


async def test_many_statements_take_too_long_as_one_does(impatient):
    with pytest.raises(TooLong):
        await ask(impatient, *repeat("SELECT pg_sleep(0.01)", 1000))


async def test_a_transaction_that_the_server_ended_since_nothing_was_asked_of_it_took_too_long(
    service_url, monkeypatch
):
    monkeypatch.setattr(chassis_database, "IDLE", 0.2)
    database = Database(f"{service_url}?idle_in_transaction_session_timeout=100ms")
    await database.open()

    with pytest.raises(TooLong):
        await ask(database, "SELECT 1", "SELECT 2", pause=0.5)

    await database.close()


async def test_a_commit_that_takes_too_long_is_an_outage_since_nobody_knows_its_fate(impatient, rows, monkeypatch):
    monkeypatch.setattr(chassis_database, "ANSWER", 0.0)
    await rows(
        "CREATE FUNCTION $S.takes_long_at_the_end() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(4); RETURN NEW; END'"
    )
    await rows(
        "CREATE CONSTRAINT TRIGGER at_the_end AFTER INSERT ON $S.accounts DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION $S.takes_long_at_the_end()"
    )

    with pytest.raises(OUTAGE) as failure:
        await ask(impatient, ADD)

    await rows("DROP FUNCTION $S.takes_long_at_the_end() CASCADE")
    assert not isinstance(failure.value, TooLong)


class Nothing:
    """A transaction in which nothing is waited for, and its connection."""

    async def start(self):
        pass

    rollback = start

    def terminate(self):
        pass


async def test_who_is_told_to_leave_leaves_though_it_took_too_long_meanwhile():
    async def stay():
        async with chassis_database._begun(Nothing(), Nothing(), 0.0):
            try:
                await asyncio.sleep(60)
            finally:
                task.cancel()

    task = asyncio.create_task(stay())

    with pytest.raises(asyncio.CancelledError):
        await task


# --- a batch


async def all_of(*works):
    async with asyncio.timeout(40):
        return await asyncio.gather(*works)


def parcel(*amounts):
    return new_id(), [enveloped(refunded(amount=amount)) for amount in amounts]


async def test_what_is_too_long_together_is_settled_in_smaller_batches(hurried, rows):
    await all_of(*(hurried.handle(*parcel(SLOW + n)) for n in range(6)))

    assert await balances(rows) == [SLOW + n for n in range(6)]
    assert await rows("SELECT 1 FROM $S.deferred") == []


async def test_a_parcel_that_is_too_long_alone_is_deferred_and_those_around_it_go_through(hurried, rows):
    stuck = parcel(STUCK, 16)

    await all_of(*(hurried.handle(*each) for each in (parcel(1), parcel(2), stuck, parcel(4), parcel(8))))

    assert await balances(rows) == [1, 2, 4, 8]
    assert await rows("SELECT message_id, index, attempts, state, last_error FROM $S.deferred ORDER BY index") == [
        (stuck[0], 0, 1, "deferred", "TooLong()"),
        (stuck[0], 1, 1, "deferred", "TooLong()"),
    ]


async def test_what_the_server_ends_one_by_one_for_longer_than_a_transaction_may_last_is_deferred_in_the_end(
    service_url, rows
):
    database = Database(f"{service_url}?statement_timeout=400ms", longest=1.0)
    await database.open()
    pipeline = a_pipeline(database)
    async with running(pipeline.run()):
        await all_of(*(pipeline.handle(*parcel(amount)) for amount in (*repeat(STUCK, 4), 1)))
        await pipeline.close()
    await database.close()

    assert await balances(rows) == [1]
    assert await rows("SELECT attempts FROM $S.deferred") == [(1,)] * 4


async def test_a_deferred_event_that_was_too_long_is_tried_alone_and_makes_no_batch_smaller(
    impatient, rows, monkeypatch
):
    pipeline, stuck = a_pipeline(impatient), parcel(STUCK, 16)
    first = asyncio.ensure_future(pipeline.handle(*stuck))
    await asyncio.sleep(0)
    await pipeline.step()
    await pipeline.step()
    await first
    await rows("UPDATE $S.deferred SET not_before = now() RETURNING 1")
    async with impatient.transaction() as tx:
        due = await pipeline._work.deferred.due(tx, 10)

    monkeypatch.setattr(chassis_share, "WHILE", 0.0)
    again = asyncio.ensure_future(pipeline.retry(due))
    later = asyncio.ensure_future(pipeline.handle(*parcel(1)))
    await asyncio.sleep(0)
    for _ in range(3):
        await pipeline.step()

    assert await again is True
    await later
    assert await balances(rows) == [1, 16]
    assert await rows("SELECT index, attempts FROM $S.deferred") == [(0, 2)]


@pytest.mark.parametrize("amount", [STUCK, TIMED_OUT])
async def test_a_command_that_is_too_long_alone_is_told_so_and_those_around_it_go_through(hurried, rows, amount):
    async def asked(each):
        """As those ask who come from within: again, until they are told."""
        while True:
            [told] = await hurried.submit_each([(Credit(uuid4(), each), start())])
            if not isinstance(told, Unavailable):
                return told
            await asyncio.sleep(0.01)

    one, stuck, two = await all_of(asked(1), asked(amount), asked(2))

    assert (one.balance, two.balance) == (1, 2)
    assert isinstance(stuck, TooLong)
    assert await balances(rows) == [1, 2]


async def test_a_request_that_is_too_long_is_told_so_by_a_code_and_not_for_ever_to_ask_again(
    ledger_url, impatient, monkeypatch
):
    monkeypatch.setattr(chassis_pipeline, "OVERDUE", 0.2)
    parts = ledger_edge.the_parts(ledger_url)
    parts.database = parts.pipeline._database = impatient
    app, path = api(parts), f"/api/v1/accounts/{typeid('usr', uuid4())}/credits"
    headers = {**ledger_edge.bearer(parts, user=uuid4()), "Idempotency-Key": "k"}
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://ledger") as http,
    ):
        answers = []

        async def is_told():
            answers.append(await http.post(path, json={"amount": STUCK}, headers=headers))
            return answers[-1].status_code != 503

        await eventually(is_told)
        after = await http.post(path, json={"amount": 5}, headers={**headers, "Idempotency-Key": "another"})

    told = answers[-1].json()
    assert (told["status"], told["code"], told["retryable"]) == (500, "too_long", False)
    assert after.status_code == 201


async def test_a_server_that_is_frozen_makes_no_batch_smaller_and_burns_no_attempt(service_url, rows, monkeypatch):
    monkeypatch.setattr(chassis_database, "ANSWER", 0.2)
    async with Cable(service_url) as cable:
        database = Database(cable.url, longest=0.5)
        await database.open()
        pipeline = a_pipeline(database)
        async with database.transaction() as tx:
            await tx.sql("SELECT 1")
        facts = [asyncio.ensure_future(pipeline.handle(*parcel(n))) for n in (1, 2, 4, 8, 16)]
        await asyncio.sleep(0)
        cable.freeze()
        await pipeline.step()
        cable.thaw()
        while not all(fact.done() for fact in facts):
            await pipeline.step()
            await asyncio.sleep(0.01)
        await database.close()

    assert await rows("SELECT array_agg(balance ORDER BY balance) FROM $S.accounts GROUP BY xmin::text") == [
        ([1, 2, 4, 8, 16],)
    ]
    assert await rows("SELECT 1 FROM $S.deferred") == []
