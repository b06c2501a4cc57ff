import asyncio
from datetime import timedelta
from email.utils import parseaddr
from time import monotonic

import httpx2
import pytest
from loguru import logger

from chassis.ids import derived_id, new_id, typeid
from chassis.items import Unavailable
from chassis.logging import lines
from contracts.types import OrderId, UserId, order_number
from notification_service import addresses, sending, store
from notification_service.addresses import Addresses, Contact
from notification_service.domain.mails import Template
from notification_service.domain.notification import Status
from tests.service.notification_service.conftest import ADDRESS
from tests.support.eventually import eventually
from tests.support.notification_service import (
    CUSTOMER,
    EVENT,
    ORDER,
    mails_to_customers,
    mails_to_staff,
    order_confirmed,
    payment_failed,
    stock_low,
)


async def test_a_confirmed_order_becomes_one_mail_to_its_customer(shop, mails):
    await shop.hear(order_confirmed(), event_id=EVENT)

    more = await sending.step(shop.parts)

    (mail,) = mails.mails
    assert more is False
    assert mail["To"] == ADDRESS
    assert parseaddr(mail["From"]) == ("Ordermill", "orders@ordermill.example")
    assert mail["Subject"] == f"Your order {order_number(ORDER)} is confirmed"
    assert mail["Message-ID"] == f"<{typeid('ntf', derived_id(EVENT, 'order_confirmed', CUSTOMER))}@ordermill.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime.utcoffset() == timedelta(0)
    assert "2 × Red mug <large> (MUG-RED): 25.98 EUR" in mail.get_body(("plain",)).get_content()
    assert "Red mug &lt;large&gt;" in mail.get_body(("html",)).get_content()
    assert await shop.rows("status, attempts, address, sent_at IS NOT NULL, version") == [("sent", 1, ADDRESS, True, 3)]


async def test_an_event_that_is_told_again_becomes_no_second_mail(shop, mails):
    await shop.hear(order_confirmed(), order_confirmed(), event_id=EVENT)
    await sending.step(shop.parts)
    await shop.hear(order_confirmed(), event_id=EVENT)
    await sending.step(shop.parts)

    assert len(mails.mails) == 1
    assert await shop.rows("status") == [("sent",)]


async def test_an_event_that_is_told_again_is_settled_and_holds_up_nobody(shop, mails):
    warned: list[str] = []
    await shop.hear(order_confirmed(), event_id=EVENT)
    sink = logger.add(warned.append, level="WARNING", format="{message}")

    await shop.hear(order_confirmed(), event_id=EVENT)
    await shop.hear(order_confirmed(order_id=OrderId(new_id())))

    logger.remove(sink)
    await sending.step(shop.parts)
    assert await shop.sql("SELECT last_error FROM notification_service.deferred") == []
    assert warned == []
    assert len(mails.mails) == 2


async def test_every_event_of_the_list_is_mailed_to_whom_it_concerns(shop, mails):
    await shop.hear(*mails_to_customers(), *mails_to_staff())

    await sending.step(shop.parts)

    receivers = [mail["To"] for mail in mails.mails]
    assert receivers.count(ADDRESS) == 7
    assert receivers.count("staff@ordermill.example") == 3
    assert await shop.rows("status") == [("sent",)] * 10


async def test_many_mails_go_over_few_connections_and_ask_for_an_address_once(shop, mails, auth):
    await shop.hear(order_confirmed())
    await sending.step(shop.parts)
    await shop.hear(*(order_confirmed(order_id=OrderId(new_id())) for _ in range(30)))

    await sending.step(shop.parts)

    assert len(mails.mails) == 31
    assert mails.connections <= 4
    assert auth.asked == 1


@pytest.mark.parametrize(
    ("refusal", "outcome", "told"),
    [("550 no such user", ("dead", "smtp_550"), 1), ("450 try later", ("waiting", "smtp_450"), 0)],
)
async def test_a_refused_recipient_ends_or_delays_the_mail_as_the_server_says(shop, mails, refusal, outcome, told):
    mails.refusals[ADDRESS] = refusal
    await shop.hear(order_confirmed(), stock_low())

    await sending.step(shop.parts)

    assert [mail["To"] for mail in mails.mails] == ["staff@ordermill.example"]
    assert (*outcome, None) in await shop.rows("status, reason, address")
    assert await shop.sql("SELECT topic FROM notification_service.outbox") == [("notification.dead",)] * told


@pytest.mark.parametrize(
    ("reply", "status"), [("554 spam", "dead"), ("451 local error", "waiting"), ("421 going down", "waiting")]
)
async def test_a_refused_mail_ends_or_waits_as_the_server_says(shop, mails, reply, status):
    mails.reply = reply
    await shop.hear(order_confirmed())

    await sending.step(shop.parts)

    assert await shop.rows("status, reason") == [(status, f"smtp_{reply[:3]}")]


async def test_a_refused_sender_is_no_fault_of_the_mail_which_waits(shop, mails):
    mails.sender_reply = "553 who are you"
    await shop.hear(order_confirmed())

    await sending.step(shop.parts)

    assert await shop.rows("status, reason") == [("waiting", "smtp_553")]


async def test_a_mail_that_waited_is_sent_when_its_time_has_come(shop, mails):
    mails.reply = "451 local error"
    await shop.hear(order_confirmed())
    await sending.step(shop.parts)
    mails.reply = "250 OK"

    await sending.step(shop.parts)
    assert await shop.rows("status, due_at > now()") == [("waiting", True)]

    await shop.sql("UPDATE notification_service.notifications SET due_at = now()")
    await sending.step(shop.parts)
    assert await shop.rows("status, attempts, reason") == [("sent", 2, None)]


async def test_a_user_who_does_not_exist_gets_no_mail(shop, mails, auth):
    auth.contacts.clear()
    await shop.hear(order_confirmed())

    await sending.step(shop.parts)

    assert mails.mails == []
    assert await shop.rows("status, reason") == [("dead", "user_unknown")]


async def test_a_mail_waits_while_auth_service_does_not_answer_properly(shop, mails, auth):
    auth.status = 503
    await shop.hear(order_confirmed())

    await sending.step(shop.parts)

    assert mails.mails == []
    assert await shop.rows("status, reason") == [("waiting", "auth_service_503")]


@pytest.mark.parametrize(
    "address",
    ["", "not an address", "jané@customer.example", "two@at@signs", "jane@customer.example\nBcc: all@customer.example"],
)
async def test_what_is_no_address_is_never_tried_again(shop, mails, auth, address):
    auth.knows(CUSTOMER, address)
    await shop.hear(order_confirmed())

    await sending.step(shop.parts)

    assert mails.mails == []
    assert await shop.rows("status, reason") == [("dead", "address_invalid")]


async def test_an_address_in_a_domain_with_umlauts_is_written_to(shop, mails, auth):
    auth.knows(CUSTOMER, "jane@bücher.example")
    await shop.hear(order_confirmed())

    await sending.step(shop.parts)

    assert [mail["To"] for mail in mails.mails] == ["jane@xn--bcher-kva.example"]


@pytest.mark.parametrize(
    "told", [{"no": "address"}, {"email": "a" * 321}, {"email": "a@b.test", "full_name": "a" * 201}]
)
async def test_a_failure_that_nobody_foresaw_delays_only_its_own_mail(shop, mails, auth, told):
    auth.contacts = dict.fromkeys(auth.contacts, told)
    await shop.hear(order_confirmed(), stock_low())

    await sending.step(shop.parts)

    assert len(mails.mails) == 1
    assert sorted(await shop.rows("status, reason")) == [("sent", None), ("waiting", "ValidationError")]


async def test_a_mail_waits_while_auth_service_cannot_be_reached(shop, unused_tcp_port):
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{unused_tcp_port}") as nobody:
        shop.parts.own.addresses = Addresses(nobody)
        await shop.hear(order_confirmed())

        await sending.step(shop.parts)

    assert await shop.rows("status, reason") == [("waiting", "auth_service_unreachable")]


async def test_no_more_addresses_are_remembered_than_fit(shop, auth, monkeypatch):
    monkeypatch.setattr(addresses, "_MOST", 1)
    other = UserId(new_id())
    auth.knows(other, "other@customer.example")

    for user in (CUSTOMER, other, other, CUSTOMER):
        await shop.parts.own.addresses.find(user)

    assert auth.asked == 3
    assert len(shop.parts.own.addresses._known) == 1


async def test_a_mail_that_takes_longer_than_the_lease_allows_waits(shop, mails, monkeypatch):
    monkeypatch.setattr(sending, "STEP", 0.2)
    answer = asyncio.Event()

    async def silence(*_arguments: object) -> str:
        await answer.wait()
        return "250 OK"

    mails.handle_DATA = silence
    await shop.hear(order_confirmed())

    await sending.step(shop.parts)
    answer.set()

    assert await shop.rows("status, reason") == [("waiting", "timeout")]


async def test_a_mail_is_recorded_while_another_is_still_being_sent(shop, mails, monkeypatch):
    answer = asyncio.Event()

    async def find(_user_id: object) -> Contact:
        await answer.wait()
        return Contact(ADDRESS)

    async def one_is_recorded() -> bool:
        return await shop.rows("status") == [("sending",), ("sent",)]

    monkeypatch.setattr(shop.parts.own.addresses, "find", find)
    await shop.hear(order_confirmed(), stock_low())

    step = asyncio.create_task(sending.step(shop.parts))
    await eventually(one_is_recorded, within=4.0)
    answer.set()
    await step

    assert await shop.rows("status") == [("sent",), ("sent",)]


async def test_a_step_that_is_cancelled_leaves_no_mail_behind_that_is_still_being_sent(shop, monkeypatch):
    started, ended = asyncio.Event(), asyncio.Event()

    async def find(_user_id: object) -> Contact:
        started.set()
        try:
            return await asyncio.Future()
        finally:
            ended.set()

    monkeypatch.setattr(shop.parts.own.addresses, "find", find)
    await shop.hear(order_confirmed())
    step = asyncio.create_task(sending.step(shop.parts))
    await started.wait()

    step.cancel()
    await asyncio.wait([step])

    assert step.cancelled()
    assert ended.is_set()
    assert await shop.rows("status") == [("sending",)]


async def test_a_database_that_is_away_for_a_moment_makes_no_second_mail(shop, mails, monkeypatch):
    monkeypatch.setattr(sending, "PAUSE", 0.02)
    await shop.hear(order_confirmed())
    shop.parts.pipeline._resume_at = monotonic() + 0.1

    await sending.step(shop.parts)

    assert len(mails.mails) == 1
    assert await shop.rows("status") == [("sent",)]


async def test_a_mail_that_cannot_be_recorded_within_the_lease_is_left_to_the_next_sender(shop, monkeypatch):
    monkeypatch.setattr(sending, "RECORD", -sending.STEP)
    await shop.hear(order_confirmed())
    shop.parts.pipeline._resume_at = monotonic() + 0.5

    with pytest.raises(Unavailable):
        await sending.step(shop.parts)

    assert await shop.rows("status") == [("sending",)]


async def test_a_mail_that_is_too_old_is_given_up_without_being_sent(shop, mails):
    await shop.hear(payment_failed())
    await shop.sql("UPDATE notification_service.notifications SET queued_at = now() - interval '31 minutes'")

    await sending.step(shop.parts)

    assert mails.mails == []
    assert await shop.rows("status, reason") == [("dead", "too_old")]


async def test_what_one_sender_has_claimed_another_leaves_until_the_lease_is_over(shop):
    await shop.hear(order_confirmed())

    async def claim():
        async with shop.parts.database.transaction() as tx:
            claimed, _ = await store.claim_due(tx, limit=10, lease=timedelta(minutes=2))
        return [(one.status, one.attempts, one.template) for one in claimed]

    first, second = await claim(), await claim()
    await shop.sql("UPDATE notification_service.notifications SET due_at = now()")
    third = await claim()

    assert first == [(Status.SENDING, 1, Template.ORDER_CONFIRMED)]
    assert second == []
    assert third == [(Status.SENDING, 2, Template.ORDER_CONFIRMED)]


async def test_what_one_sender_is_claiming_another_leaves_to_it(shop):
    await shop.hear(order_confirmed())

    async with shop.parts.database.transaction() as one, shop.parts.database.transaction() as other:
        first, _ = await store.claim_due(one, limit=10, lease=timedelta(minutes=2))
        second, _ = await store.claim_due(other, limit=10, lease=timedelta(minutes=2))

    assert (len(first), len(second)) == (1, 0)


async def test_two_senders_at_once_send_each_mail_once(shop, mails):
    await shop.hear(*(order_confirmed(order_id=OrderId(new_id())) for _ in range(20)))

    await asyncio.gather(sending.step(shop.parts), sending.step(shop.parts))

    assert len(mails.mails) == 20
    assert len({mail["Message-ID"] for mail in mails.mails}) == 20


async def test_no_log_line_shows_an_address(shop, mails):
    told: list[str] = []
    sink = logger.add(lambda line: told.extend(map(str, lines(line.record))), level="TRACE", diagnose=False)
    records = logger.add(told.append, level="TRACE", format="{message} {extra} {exception}")
    mails.refusals[ADDRESS] = f"550 {ADDRESS} is unknown"
    await shop.hear(order_confirmed(), stock_low())

    await sending.step(shop.parts)

    logger.remove(sink)
    logger.remove(records)
    assert any("mail given up: smtp_550" in line for line in told)
    assert any("mail sent" in line for line in told)
    assert not any("@" in line for line in told)


async def test_the_line_about_a_mail_names_its_order_as_the_interface_does(shop):
    told: list[tuple[str, object]] = []
    sink = logger.add(lambda line: told.extend((m, f.get("order_id")) for m, f in lines(line.record)), level="INFO")
    await shop.hear(order_confirmed())

    await sending.step(shop.parts)

    logger.remove(sink)
    assert ("mail sent", typeid("ord", ORDER)) in told
