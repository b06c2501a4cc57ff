"""The event log on a real PostgreSQL: read in the order of time, page by page; told again through the relay."""

from datetime import UTC, datetime, timedelta

import pytest

from chassis import event_log
from chassis.acts import Why
from chassis.event_log import EventLog, Selection
from chassis.ids import new_id
from contracts.envelope import encode
from tests.support.envelopes import enveloped
from tests.support.ledger import SERVICE, refunded

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ADD = """
    INSERT INTO $S.outbox (id, topic, events, count, created_at, published_at) VALUES ($1, $2, $3, 1, $4, $5)
    RETURNING 1
"""


@pytest.fixture
def log(monkeypatch):
    monkeypatch.setattr(event_log, "PAGE", 2)
    return EventLog(SERVICE)


@pytest.fixture
def tell(rows):
    """A parcel of one event, so many minutes after noon."""

    async def tell(minute, event=None, topic="refund.succeeded", *, published=True):
        event, parcel, at = event or refunded(), new_id(), NOON + timedelta(minutes=minute)
        await rows(ADD, parcel, topic, encode([enveloped(event)]).decode(), at, at if published else None)
        return parcel

    return tell


@pytest.fixture
def read(log, database):
    async def read(newest_first=False, bodies=True, **chosen):
        pages = log.pages(database, Selection(**chosen), newest_first=newest_first, bodies=bodies)
        return [[recorded.id for recorded in page] async for page in pages]

    return read


async def test_the_log_is_read_by_time_whatever_the_ids_say(tell, read):
    third, first, second = [await tell(minute) for minute in (3, 1, 2)]

    assert await read() == [[first, second], [third]]
    assert await read(newest_first=True) == [[third, second], [first]]


async def test_a_selection_is_of_time_topic_parcel_and_subject(tell, read):
    order = refunded()
    about, failed, late = await tell(0, order), await tell(1, topic="refund.failed"), await tell(2)

    assert await read(since=NOON + timedelta(minutes=1), until=NOON + timedelta(minutes=2)) == [[failed]]
    assert await read(topics=["refund.failed"]) == [[failed], []]
    assert await read(subject=order.subject) == [[about], []]
    assert await read(parcels=[late, about]) == [[about], [late]]
    assert await read(topics=[], newest_first=True) == [[], []]


async def test_what_says_another_id_in_its_data_is_not_about_it(tell, read):
    order = refunded()
    await tell(0, order)

    assert await read(subject=str(order.refund_id)) == [[]]


async def test_bodies_are_read_only_where_they_are_asked_for(tell, log, database):
    await tell(0)

    [[with_body]] = [page async for page in log.pages(database, Selection())]
    [[without]] = [page async for page in log.pages(database, Selection(), bodies=False)]

    assert (with_body.events[:2], without.events) == ("[{", None)


async def test_what_is_told_again_is_the_relays_again_and_noted(tell, log, database, rows):
    published, waiting = await tell(0), await tell(1, published=False)

    async with database.transaction() as tx:
        told = await log.tell_again(tx, [published, waiting, new_id()], Why("cli:ann", "to x", "lost"))
        again = await log.tell_again(tx, [published], Why("cli:ann"))

    assert (told, again) == ([published], [])
    assert await rows("SELECT published_at FROM $S.outbox WHERE not_before <= now()") == [(None,), (None,)]
    assert await rows("SELECT actor, act, message_id, index, topic, cause, note FROM $S.acts") == [
        ("cli:ann", "replay", published, None, "refund.succeeded", "to x", "lost")
    ]


async def test_what_may_have_been_committed_late_is_among_the_recent(tell, log, database, rows):
    await tell(0)
    parcel = await tell(1)
    await rows("UPDATE $S.outbox SET created_at = now() - interval '12 s' WHERE id = $1 RETURNING 1", parcel)

    async with database.transaction() as tx:
        assert await log.recent(tx) == {parcel}
        assert [found.id for found in await log.find(tx, [parcel, new_id()])] == [parcel]
