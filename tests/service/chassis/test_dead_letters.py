"""Dead letters on a real PostgreSQL: grouped, put back once, discarded for good reason, and an act for each."""

import asyncpg
import pytest

from chassis.acts import Acts, Why
from chassis.dead_letters import DeadLetters, Fate
from chassis.deferred import UNREADABLE, Deferred
from chassis.ids import new_id
from chassis.parcels import Death, careful, dead, unreadable
from chassis.tasks import running
from chassis.worker import retry_deferred
from contracts.envelope import encode
from tests.support import ledger_edge
from tests.support.envelopes import enveloped
from tests.support.ledger import SERVICE, not_refunded, refunded

letters = DeadLetters(SERVICE)
BALANCES = "SELECT balance FROM $S.accounts ORDER BY balance"
KEPT = "SELECT index, attempts, state, careful FROM $S.deferred ORDER BY message_id, index"


@pytest.fixture
async def parts(database, service_url):
    parts = ledger_edge.the_parts(service_url)
    await parts.database.open()
    async with running(parts.pipeline.run()):
        yield parts
        await parts.pipeline.close()
    await parts.database.close()


@pytest.fixture
def park(database):
    """Parks events, as eight failures would."""

    async def park(*events, error="ArithmeticError('poison')", parcel=None, **given):
        parcel = parcel or new_id()
        rows = [
            Deferred(parcel, index, event.topic, event.subject, encode([enveloped(event)]).decode(), 8, error, **given)
            for index, event in enumerate(events)
        ]
        await add(database, *rows)
        return [row.key for row in rows]

    return park


async def add(database, *rows):
    async with database.transaction() as tx:
        await ledger_edge.the_parts(database.url).work.deferred.add(tx, rows)
        await tx.sql("UPDATE ledger_service.deferred SET state = 'parked' WHERE attempts >= 8")


@pytest.fixture
def letter(database):
    """One of the functions of dead letters, in a transaction of its own."""

    async def call(name, *arguments, **given):
        async with database.transaction() as tx:
            return await getattr(letters, name)(tx, *arguments, **given)

    return call


async def test_what_failed_for_one_reason_is_one_group_whatever_ids_its_causes_name(park, letter):
    for _ in range(2):
        await park(not_refunded(), error=f"KeyError('{new_id()}')\nand a long story of {new_id()}")
    await park(refunded(), error="KeyError('x')")
    await park(not_refunded(), error="ArithmeticError('poison')")

    groups = await letter("groups")

    assert [(group.topic, group.cause, group.count, group.attempts) for group in groups[:1]] == [
        ("refund.failed", "KeyError('…')", 2, 8)
    ]
    assert {(group.topic, group.cause, group.count) for group in groups[1:]} == {
        ("refund.succeeded", "KeyError('x')", 1), ("refund.failed", "ArithmeticError('poison')", 1),
    }  # fmt: skip
    assert len({group.name for group in groups}) == 3
    assert groups[0].oldest < groups[0].newest


async def test_a_group_is_read_page_by_page(park, letter):
    keys = [key for _ in range(3) for key in await park(not_refunded())]
    await park(refunded(), error="another")
    name = (await letter("groups"))[0].name

    first = await letter("page", 2, group=name)
    second = await letter("page", 2, group=name, after=first[-1].key)

    assert [one.key for one in [*first, *second]] == sorted(keys)
    assert len(await letter("page", 10)) == 4
    assert await letter("page", 10, state="deferred") == []


async def test_what_is_put_back_is_done_once_by_the_ordinary_runner_and_noted(parts, park, letter, rows, database):
    [key] = await park(event := refunded(amount=5))

    assert await letter("retry", [key], "cli:ann", "mended") == [key]
    assert await letter("retry", [key], "cli:bob") == []
    assert await letter("fates", [key]) == {key: Fate.WAITS}
    assert await rows(BALANCES) == []
    await retry_deferred(parts)
    await retry_deferred(parts)

    assert await rows(BALANCES) == [(5,)]
    assert await letter("fates", [key]) == {key: Fate.SETTLED}
    async with database.transaction() as tx:
        [act] = await Acts(SERVICE).about(tx, key[0])
    assert (act.actor, act.act, act.index, act.topic, act.subject, act.cause, act.note) == (
        "cli:ann", "retry", 0, "refund.succeeded", event.subject, "ArithmeticError('poison')", "mended",
    )  # fmt: skip


async def test_what_fails_again_is_parked_again_at_once_with_the_new_cause(parts, park, letter, rows):
    [key] = await park(not_refunded(), error="what it was")

    await letter("retry", [key], "cli:ann")
    await retry_deferred(parts)

    assert await letter("fates", [key]) == {key: Fate.PARKED}
    [found] = await letter("find", key[0])
    assert (found.attempts, found.last_error) == (8, "ArithmeticError('poison')")


async def test_what_had_killed_a_process_is_started_alone_and_once_more(parts, park, letter, rows):
    [key] = await park(not_refunded(), careful=True)
    await letter("retry", [key], "cli:ann")

    async with parts.database.transaction() as tx:
        states = [await parts.work.deferred.start(tx, (await parts.work.deferred.due(tx, 1))[0])]
        await tx.sql("UPDATE ledger_service.deferred SET not_before = now()")
        states.append(await parts.work.deferred.start(tx, (await parts.work.deferred.due(tx, 1))[0]))

    assert states == ["deferred", "parked"]


async def test_what_had_killed_a_process_is_started_apart_from_others_at_once_where_that_is_possible(
    parts, park, letter, rows
):
    tried = []

    async def apart(event):
        tried.append((event.key, await rows(BALANCES)))
        return await parts.pipeline.retry([event])

    parts.apart = apart
    [key] = await park(refunded(amount=7), careful=True)
    await letter("retry", [key], "cli:ann")

    await retry_deferred(parts)

    assert tried == [(key, [])]
    assert await rows(BALANCES) == [(7,)]
    assert await letter("fates", [key]) == {key: Fate.SETTLED}


async def test_what_had_killed_a_process_and_does_so_again_apart_from_others_is_parked_again(parts, park, letter):
    async def apart(_event):
        return False

    parts.apart = apart
    [key] = await park(refunded(), careful=True)
    await letter("retry", [key], "cli:ann")

    await retry_deferred(parts)

    assert await letter("fates", [key]) == {key: Fate.PARKED}
    [found] = await letter("find", key[0])
    assert found.last_error == "its process died at start 4, apart from others"


async def test_a_parcel_that_can_be_read_at_last_has_each_of_its_events_once(parts, letter, rows, database):
    body = encode([enveloped(refunded(amount=amount)) for amount in (1, 2)])
    row = unreadable(str(new_id()), "refund.succeeded", body, "a field that an old release did not know")
    await add(database, row)

    assert await letter("retry", [row.key], "cli:ann") == [row.key]
    await retry_deferred(parts)
    assert await letter("fates", [row.key]) == {row.key: Fate.WAITS}
    await rows("UPDATE $S.deferred SET not_before = now() RETURNING 1")
    await retry_deferred(parts)

    assert await rows(BALANCES) == [(1,), (2,)]
    assert await letter("fates", [row.key]) == {row.key: Fate.SETTLED}
    assert await rows("SELECT message_id FROM $S.inbox") == [(row.message_id,)]


async def test_a_parcel_that_was_handled_since_changes_nothing_when_it_can_be_read(parts, letter, rows, database):
    envelopes = [enveloped(refunded(amount=1))]
    row = unreadable(str(new_id()), "refund.succeeded", encode(envelopes), "x")
    await add(database, row)
    await parts.pipeline.handle(row.message_id, envelopes)

    await letter("retry", [row.key], "cli:ann")
    await retry_deferred(parts)

    assert await rows(BALANCES) == [(1,)]
    assert await rows(KEPT) == []


async def test_a_parcel_that_still_cannot_be_read_is_parked_again_with_the_new_cause(parts, letter, rows, database):
    nul = encode([enveloped(refunded())]).replace(b'"subject":"', b'"subject":"\\u0000')
    bodies = {"refund.succeeded": b"{", "refund.failed": nul, "payment.unresolved": b"[]", "no.such": b"[]"}
    parked = [unreadable(str(new_id()), topic, body, "old") for topic, body in bodies.items()]
    await add(database, *parked)

    await letter("retry", [row.key for row in parked], "cli:ann")
    while await retry_deferred(parts):
        pass

    assert set((await letter("fates", [row.key for row in parked])).values()) == {Fate.PARKED}
    assert await rows("SELECT count(*) FROM $S.deferred WHERE last_error = 'old'") == [(0,)]
    assert await rows("SELECT DISTINCT attempts, index FROM $S.deferred") == [(1, UNREADABLE)]
    assert await rows("SELECT 1 FROM $S.inbox") == []


async def test_what_is_discarded_is_gone_and_its_act_keeps_what_it_said(park, letter, rows):
    [key, other] = await park(event := not_refunded(), refunded())

    assert await letter("discard", [key], "cli:ann", "a test order") == [key]
    assert await letter("discard", [key], "cli:ann", "again") == []

    assert [one.key for one in await letter("find", key[0])] == [other]
    [(act, subject, cause, body, note)] = await rows("SELECT act, subject, cause, body, note FROM $S.acts")
    assert (act, subject, cause, note) == ("discard", event.subject, "ArithmeticError('poison')", "a test order")
    assert event.code in body


async def test_what_is_tried_again_by_itself_is_neither_put_back_nor_discarded(database, letter, rows):
    row = careful(new_id(), [enveloped(refunded())])[0]
    await add(database, row)

    assert await letter("retry", [row.key], "cli:ann") == []
    assert await letter("discard", [row.key], "cli:ann", "no") == []
    assert [group.count for group in await letter("groups", "deferred")] == [1]
    assert await rows("SELECT 1 FROM $S.acts") == []


async def test_what_the_broker_gave_up_is_parked_event_by_event_to_be_run_alone(database, rows, letter):
    envelopes = [enveloped(refunded()), enveloped(refunded())]

    await add(database, *dead(new_id(), envelopes, Death("refund.succeeded", "delivery_limit", 2)))

    assert await rows(KEPT) == [(0, 2, "parked", True), (1, 2, "parked", True)]
    assert [group.cause for group in await letter("groups")] == ["dead-lettered by the broker: delivery_limit"]


@pytest.mark.parametrize("statement", ["UPDATE $S.acts SET note = ''", "DELETE FROM $S.acts"])
@pytest.mark.parametrize("who", ["service_url", "ledger_url"])
async def test_an_act_is_never_changed_by_the_services_role_nor_by_the_owner(request, who, statement, database, rows):
    async with database.transaction() as tx:
        await Acts(SERVICE).add(tx, "republish", [(None, "product.upserted")], Why("cli:ann"))
    connection = await asyncpg.connect(request.getfixturevalue(who))

    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="never changed"):
        await connection.execute(statement.replace("$S", SERVICE))

    await connection.close()
    assert await rows("SELECT actor, message_id, topic FROM $S.acts") == [("cli:ann", None, "product.upserted")]
