"""Connections and transactions: what begins and commits, and what an outage looks like."""

import asyncio
import gc

import asyncpg
import pytest
from anyio import CancelScope
from sqlalchemy import select

from chassis import pool
from chassis.database import OUTAGE, Database
from chassis.idempotency import Claims
from chassis.ids import new_id
from chassis.inbox import Inbox
from chassis.permits import Permits, asking
from chassis.statements import Bulk, Statement
from tests.support.eventually import eventually
from tests.support.ledger import SERVICE, accounts

ADD = Bulk.insert(accounts)
CHANGE = Bulk.update(accounts, *accounts.c.keys())
FIND = Statement(select(accounts.c.balance))
HEAR = Bulk.insert(accounts.metadata.tables[f"{SERVICE}.inbox"], "message_id")


async def balances(rows):
    return await rows("SELECT balance FROM $S.accounts ORDER BY balance")


async def test_a_transaction_commits_at_its_end_and_rolls_back_when_its_body_raises(database, rows):
    async with database.transaction() as tx:
        await tx.run(ADD, [(new_id(), 1, 1)])

    async def add_and_fail():
        async with database.transaction() as tx:
            await tx.run(ADD, [(new_id(), 2, 1)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await add_and_fail()

    assert await balances(rows) == [(1,)]


async def test_what_is_undone_in_a_savepoint_is_undone_alone(database, rows):
    async with database.transaction() as tx:
        await tx.run(ADD, [(new_id(), 1, 1)])
        with pytest.raises(asyncpg.CheckViolationError):
            async with tx.savepoint():
                await tx.run(ADD, [(new_id(), 2, 1), (new_id(), 13, 1)])
        await tx.run(ADD, [])

    assert await balances(rows) == [(1,)]


async def test_what_is_written_to_several_tables_goes_to_the_server_at_once(database, rows):
    # given
    account, sent = new_id(), []
    connection = await database.connect()
    heard = asyncio.Event()
    await connection.add_listener("told", lambda *_: heard.set())

    # when
    async with database.transaction() as tx:
        tx._connection.add_query_logger(sent.append)
        await tx.run(ADD, [(account, 1, 1)])
        await tx.run(HEAR, [(account,)])
        tx.notify("told", "a", "b")

    # then
    written = [record.query for record in sent if "INSERT" in record.query]
    assert len(written) == 1
    assert await rows("SELECT balance, message_id = id FROM $S.accounts, $S.inbox") == [(1, True)]
    async with asyncio.timeout(5):
        await heard.wait()
    await connection.close()


async def test_a_second_write_to_a_table_and_a_read_see_what_was_written_before(database):
    account = new_id()
    async with database.transaction() as tx:
        await tx.run(ADD, [(account, 1, 1)])
        await tx.run(CHANGE, [(account, 2, 2)])
        await tx.run(CHANGE, [(account, 3, 3)])
        [(balance,)] = await tx.fetch(FIND)

    assert balance == 3


async def test_what_a_savepoint_had_yet_to_write_is_undone_with_it(database, rows):
    async def add_and_fail(tx):
        async with tx.savepoint():
            await tx.run(ADD, [(new_id(), 2, 1)])
            raise ZeroDivisionError

    async with database.transaction() as tx:
        with pytest.raises(ZeroDivisionError):
            await add_and_fail(tx)

    assert await balances(rows) == []


async def test_a_read_writes_nothing(database):
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with database.transaction(read_only=True) as tx:
            await tx.run(ADD, [(new_id(), 1, 1)])


async def test_jsonb_is_python_on_every_connection(database):
    async with database.transaction() as tx:
        [(from_pool,)] = await tx.sql("SELECT $1::jsonb", {"n": [1, None]})
    alone = await database.connect()
    by_itself = await alone.fetchval("SELECT $1::jsonb", [1, "x"])
    await alone.close()

    assert (from_pool, by_itself) == ({"n": [1, None]}, [1, "x"])


async def test_a_role_holds_up_nobody_for_long(database):
    async with database.transaction() as tx:
        settings = {
            row[0]: row[1]
            for row in await tx.sql(
                "SELECT name, setting FROM pg_settings WHERE name LIKE '%timeout' AND source <> 'default'"
            )
        }

    assert (
        settings.items()
        >= {
            "idle_in_transaction_session_timeout": "5000",
            "lock_timeout": "3000",
            "statement_timeout": "10000",
        }.items()
    )


async def test_a_plan_that_is_made_while_a_table_is_empty_does_not_read_it_whole(database):
    async with database.transaction() as tx:
        plan = await tx.sql(f"EXPLAIN {CHANGE.sql}", *CHANGE.arguments([(new_id(), 1, 1)] * 50))

    assert "Seq Scan" not in str(plan)


@pytest.mark.parametrize("url", ["postgresql://x@127.0.0.1:1/x", "closed"])
async def test_a_database_that_cannot_be_reached_is_an_outage(url):
    database = Database(url)
    if url != "closed":
        await database.open()

    with pytest.raises(OUTAGE):
        async with database.transaction():
            pass

    await database.close()


async def test_a_connection_that_is_cut_is_an_outage_and_the_next_transaction_has_a_new_one(database, rows):
    async def be_cut():
        async with database.transaction() as tx:
            [(pid,)] = await tx.sql("SELECT pg_backend_pid()")
            await rows("SELECT pg_terminate_backend($1)", pid)
            await tx.sql("SELECT 1")

    with pytest.raises(OUTAGE):
        await be_cut()

    async with database.transaction() as tx:
        assert [tuple(row) for row in await tx.sql("SELECT 1")] == [(1,)]


async def test_at_the_end_work_may_finish_and_what_does_not_is_cut(service_url, rows, monkeypatch):
    monkeypatch.setattr(pool, "CLOSING", 0.3)
    database, begun, may_end = Database(service_url), asyncio.Event(), asyncio.Event()
    await database.open()

    async def add(balance, wait):
        async with database.transaction() as tx:
            await tx.run(ADD, [(new_id(), balance, 1)])
            begun.set()
            await wait.wait()

    finishing = asyncio.ensure_future(add(1, may_end))
    hanging = asyncio.ensure_future(add(2, asyncio.Event()))
    await begun.wait()
    await eventually(lambda: database._pool._pool.get_size() == 2)
    asyncio.get_running_loop().call_later(0.05, may_end.set)

    await asyncio.wait_for(database.close(), 2)

    await finishing
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    assert await balances(rows) == [(1,)]
    await database.close()


async def test_the_inbox_knows_what_was_handled_and_what_was_never_heard_of(database):
    inbox, parcel, other = Inbox(SERVICE), new_id(), new_id()
    async with database.transaction() as tx:
        first = await inbox.claim(tx, [parcel, parcel], [])
        again = await inbox.claim(tx, [parcel], [])
        unheard = await inbox.unheard(tx, [parcel, other])

    assert (first.fresh, again.fresh, unheard) == ({parcel}, frozenset(), {other})


async def test_nothing_is_stored_for_no_answers(database, rows):
    async with database.transaction() as tx:
        await Claims(SERVICE).store(tx, [])

    assert await rows("SELECT 1 FROM $S.idempotency") == []


@pytest.fixture
async def no_standby(postgres):
    """Commits wait for a standby that never comes, of those who ask for it: others do not."""
    owner = await asyncpg.connect(postgres)
    await owner.execute("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (nobody)'")
    await owner.execute("SELECT pg_reload_conf()")
    yield owner
    await owner.execute("ALTER SYSTEM RESET synchronous_standby_names")
    await owner.execute("SELECT pg_reload_conf()")
    await owner.close()


async def test_a_commit_that_waits_for_a_standby_is_seen_by_nobody_when_its_process_ends(no_standby, service_url, rows):
    # given
    database = Database(f"{service_url}?synchronous_commit=on&application_name=waits")
    await database.open()

    async def write():
        async with database.transaction() as tx:
            await tx.run(ADD, [(new_id(), 1, 1)])

    async def waits():
        return await no_standby.fetchval(
            "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE application_name = 'waits'"
        )

    writing = asyncio.ensure_future(write())
    await eventually(waits)

    # when
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await database.close()

    # then
    assert await balances(rows) == []
    assert await waits()
    await no_standby.execute("ALTER SYSTEM RESET synchronous_standby_names")
    await no_standby.execute("SELECT pg_reload_conf()")
    await eventually(lambda: _has(rows, [(1,)]))


async def _has(rows, expected):
    return await balances(rows) == expected


async def test_a_client_who_leaves_breaks_off_no_statement_and_costs_no_connection(database):
    # given: as Starlette leaves a request whose client is gone
    holder, leaving, seen = await database.connect(), CancelScope(), []
    await holder.execute("SELECT pg_advisory_lock(7)")

    async def waits():
        return await holder.fetchval("SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")

    async def read():
        with leaving:
            async with database.transaction(read_only=True) as tx:
                await tx.sql("SELECT pg_advisory_xact_lock(7)")
                seen.extend(await tx.sql("SELECT pg_backend_pid()"))
            await asyncio.Event().wait()

    reading = asyncio.ensure_future(read())
    await eventually(waits)

    # when
    leaving.cancel()
    await holder.execute("SELECT pg_advisory_unlock(7)")
    await reading
    await holder.close()

    # then
    async with database.transaction() as tx:
        assert await tx.sql("SELECT pg_backend_pid()") == seen


async def test_wherever_a_transaction_is_cancelled_it_leaves_nothing_open_and_no_error(database):
    # given
    told, loop = [], asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, about: told.append(about["message"]))

    async def write():
        async with database.transaction() as tx:
            await tx.run(ADD, [(new_id(), 1, 1)])

    # when
    for turns in range(20):
        await write()  # over a connection that is there: while one is made, the noise is asyncpg's own
        writing = asyncio.ensure_future(write())
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait({writing})
    gc.collect()

    # then
    assert told == []
    async with database.transaction() as tx:
        assert await tx.sql("SELECT pg_current_xact_id_if_assigned()") == [(None,)]


async def test_requests_take_turns_by_place_and_leave_connections_to_whoever_is_none(service_url):
    database = Database(service_url, size=3)
    await database.open()
    may_end, begun = asyncio.Event(), []

    async def read(place):
        asking.set(Permits().take(place))
        async with database.transaction(read_only=True):
            begun.append(place)
            await may_end.wait()

    tasks = [asyncio.create_task(read(place)) for place in ["many", "many", "many", "one"]]
    await eventually(lambda: begun)
    async with database.transaction() as tx:
        [(answer,)] = await tx.sql("SELECT 1")
    may_end.set()
    await asyncio.gather(*tasks)
    await database.close()

    assert (answer, begun) == (1, ["many", "many", "one", "many"])


async def test_a_request_waits_for_a_connection_no_longer_than_anybody(service_url, monkeypatch):
    monkeypatch.setattr(pool, "PATIENCE", 0.05)
    database = Database(service_url, size=1)
    await database.open()
    asking.set(Permits().take("here"))

    async with database.transaction(read_only=True):
        with pytest.raises(TimeoutError):
            async with database.transaction(read_only=True):
                pass
    async with database.transaction() as tx:
        assert await tx.sql("SELECT 1")
    await database.close()
