"""Mails that are claimed as they are written, by whoever then sends them: no claim of their own is needed."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from loguru import logger

from chassis.ids import new_id
from chassis.worker import taking_over
from contracts.accounts import UserErased
from contracts.types import OrderId
from notification_service import sending
from tests.service.notification_service.conftest import ADDRESS
from tests.support.notification_service import CUSTOMER, EVENT, order_confirmed, stock_low

STATE = "status, attempts, due_at > now()"


@pytest.fixture
async def taking(shop):
    with taking_over(shop.parts):
        yield shop


@pytest.fixture
def silent(taking, monkeypatch):
    """Mails go out when this is set, and not before."""
    answer, find = asyncio.Event(), taking.parts.own.addresses.find

    async def later(user_id):
        await answer.wait()
        return await find(user_id)

    monkeypatch.setattr(taking.parts.own.addresses, "find", later)
    return answer


async def landed(shop):
    await asyncio.gather(*shop.parts.own.flights)
    return shop.parts.own.out


async def test_a_mail_is_sent_though_nobody_looks_for_it(taking, mails):
    await taking.hear(order_confirmed())

    assert await landed(taking) == 0
    assert await taking.rows("status, attempts, address, version") == [("sent", 1, ADDRESS, 2)]
    assert len(mails.mails) == 1


async def test_a_mail_is_nobody_elses_from_its_first_moment(taking, silent):
    await taking.hear(order_confirmed())

    assert await taking.rows(STATE) == [("sending", 1, True)]
    assert await sending.step(taking.parts) is False
    assert await taking.rows("attempts") == [(1,)]
    silent.set()
    await landed(taking)


async def test_an_event_that_is_told_again_is_mailed_once(taking, mails):
    await taking.hear(order_confirmed(), order_confirmed(), event_id=EVENT)
    await landed(taking)
    await taking.hear(order_confirmed(), event_id=EVENT)
    await landed(taking)

    assert len(mails.mails) == 1
    assert await taking.rows("status, version") == [("sent", 2)]


async def test_no_more_mails_are_out_than_allowed_and_what_is_too_much_is_due_to_anybody(taking, silent):
    taking.parts.own.at_once = 1
    await taking.hear(order_confirmed(), order_confirmed(order_id=OrderId(new_id())))

    assert sorted(await taking.rows(STATE)) == [("queued", 0, False), ("sending", 1, True)]
    assert (taking.parts.own.out, await sending.step(taking.parts)) == (1, False)
    silent.set()
    await landed(taking)
    await sending.step(taking.parts)
    assert await taking.rows("status") == [("sent",)] * 2


async def test_a_mail_that_nobody_wants_is_not_handed_over(taking, mails):
    await taking.hear(UserErased(user_id=CUSTOMER, locale="en"))
    await taking.hear(order_confirmed())

    assert (await landed(taking), await taking.rows("status, attempts"), mails.mails) == (0, [("suppressed", 0)], [])


async def test_a_mail_whose_commit_nobody_knows_of_is_sent_when_its_lease_ends(taking, mails, monkeypatch):
    database, lost = taking.parts.database, []
    transaction = database.transaction

    @asynccontextmanager
    async def without_an_answer(**given):
        async with transaction(**given) as tx:
            yield tx
        if not lost:
            lost.append(True)
            raise ConnectionError

    monkeypatch.setattr(database, "transaction", without_an_answer)
    await taking.hear(order_confirmed())
    assert (await taking.rows(STATE), mails.mails) == ([("sending", 1, True)], [])

    await taking.sql("UPDATE notification_service.notifications SET due_at = now()")
    await sending.step(taking.parts)

    assert await taking.rows("status, attempts") == [("sent", 2)]


async def test_a_mail_that_was_handed_over_late_in_its_lease_is_not_sent_any_more(taking, mails):
    begin = taking.parts.pipeline.handover.begin
    taking.parts.pipeline.handover.begin = lambda works, since: begin(works, since - sending.STEP)
    await taking.hear(order_confirmed())
    await landed(taking)

    assert (await taking.rows("status, reason"), mails.mails) == ([("waiting", "timeout")], [])


async def test_mails_that_cannot_be_recorded_are_left_and_the_others_go_on(taking, monkeypatch):
    told: list[str] = []
    sink = logger.add(told.append, level="ERROR", format="{message}")
    monkeypatch.setattr(sending, "RECORD", -sending.STEP)
    begin = taking.parts.pipeline.handover.begin

    def while_the_database_is_away(works, since):
        taking.parts.pipeline._resume_at = asyncio.get_running_loop().time() + 0.5
        begin(works, since)

    taking.parts.pipeline.handover.begin = while_the_database_is_away
    await taking.hear(stock_low())
    await landed(taking)

    logger.remove(sink)
    assert told == ["of 1 mails some are given up until their lease ends: Unavailable\n"]
    assert await taking.rows(STATE) == [("sending", 1, True)]


async def test_who_ends_waits_for_the_mails_that_are_out_and_begins_no_more(shop, mails):
    with taking_over(shop.parts):
        async with sending.open_desk(shop.parts) as desk:
            shop.parts.own, before = desk, shop.parts.own
            shop.parts.pipeline.handover = desk.handover
            await shop.hear(order_confirmed())
        assert len(mails.mails) == 1

        desk.handover.begin([object()], 0.0)
        assert desk.out == 0
        shop.parts.own = before


async def test_a_mail_that_takes_too_long_when_its_sender_ends_is_left(shop, mails, monkeypatch):
    monkeypatch.setattr(sending, "LANDING", 0.05)
    async with sending.open_desk(shop.parts) as desk:
        shop.parts.own, before = desk, shop.parts.own
        shop.parts.pipeline.handover = desk.handover
        monkeypatch.setattr(desk.addresses, "find", lambda _user: asyncio.Event().wait())
        await shop.hear(order_confirmed())
    shop.parts.own, shop.parts.pipeline.handover = before, None

    assert desk.flights == set()
    assert (await shop.rows(STATE), mails.mails) == ([("sending", 1, True)], [])
