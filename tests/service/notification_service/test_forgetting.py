import asyncio
from contextlib import suppress
from uuid import UUID

from asyncpg import RaiseError

from chassis.ids import new_id
from contracts.accounts import UserErased, UserRegistered
from contracts.types import OrderId, UserId
from notification_service import erasing, retention, sending, store
from notification_service.main import service
from tests.service.notification_service.conftest import ADDRESS
from tests.support.envelopes import enveloped
from tests.support.notification_service import CUSTOMER, order_confirmed, stock_low

ERASED = UserErased(user_id=CUSTOMER, locale="en")
REGISTERED = UserRegistered(user_id=CUSTOMER, locale="en")


async def test_of_an_erased_user_only_that_mails_were_sent_is_kept(shop, mails):
    await shop.hear(REGISTERED, order_confirmed())
    await sending.step(shop.parts)
    await shop.hear(order_confirmed(order_id=OrderId(new_id())), stock_low())

    await shop.hear(ERASED, ERASED)

    columns = "status, recipient, user_id, data = '{}', address, reason"
    assert await shop.rows(columns) == [
        ("sent", "erased", None, True, None, None),
        ("suppressed", "erased", None, True, None, "user_erased"),
        ("queued", "staff", None, False, None, None),
    ]
    await sending.step(shop.parts)
    assert [mail["To"] for mail in mails.mails] == [ADDRESS, "staff@ordermill.example"]


async def test_what_is_told_together_with_an_erasure_is_overwritten_too_and_what_comes_later_is_not_kept(shop):
    facts = (REGISTERED, order_confirmed(), ERASED)
    together = [shop.parts.pipeline.handle(new_id(), [enveloped(fact)]) for fact in facts]
    await asyncio.gather(*together)
    await shop.hear(order_confirmed(order_id=OrderId(new_id())))

    assert await shop.rows("status, recipient, user_id, data = '{}'") == [("suppressed", "erased", None, True)] * 2
    assert await shop.sql("SELECT locale, erased FROM notification_service.notification_preferences") == [(None, True)]


async def test_an_outcome_that_comes_after_the_erasure_changes_nothing(shop, mails):
    await shop.hear(order_confirmed())
    taken, release = asyncio.Event(), asyncio.Event()
    deliver = mails.handle_DATA

    async def slowly(*arguments: object) -> str:
        taken.set()
        await release.wait()
        return await deliver(*arguments)

    mails.handle_DATA = slowly
    sender = asyncio.ensure_future(sending.step(shop.parts))
    await taken.wait()
    await shop.hear(ERASED)
    release.set()
    await sender

    assert len(mails.mails) == 1
    assert await shop.rows("status, address, recipient") == [("suppressed", None, "erased")]


NEIGHBOUR = UserId(new_id())
MANY = f"""
INSERT INTO notification_service.notifications
SELECT gen_random_uuid(), gen_random_uuid(), 'order_confirmed', 'email', '{CUSTOMER}', '{CUSTOMER}', gen_random_uuid(),
    '{{"total": 1}}', CASE WHEN n % 2 = 0 THEN 'queued' ELSE 'dead' END, 0, 0, NULL, NULL, now(), now(), now(), NULL, 1
FROM generate_series(1, 2500) n
"""  # noqa: S608 -- an id of the tests
SAYING = "SELECT count(*) FROM notification_service.notifications WHERE recipient <> 'erased' OR data <> '{}'"


async def goes_on(shop) -> list[bool]:
    """What the service's loop says of one look after the other, up to the one that finds nothing to do."""
    [loop] = [each for each in service.loops if each.step is erasing.step]
    said = [await loop.step(shop.parts)]
    while said[-1]:
        said.append(await loop.step(shop.parts))
    return said


async def test_whoever_got_very_many_mails_is_overwritten_a_thousand_at_a_time(shop):
    await shop.hear(REGISTERED)
    await shop.sql(MANY)

    await shop.hear(ERASED)

    assert await shop.sql(SAYING) == [(1500,)]
    assert await goes_on(shop) == [True, True, True, False]
    assert await shop.sql(SAYING) == [(0,)]
    assert await shop.sql("SELECT status, count(*) FROM notification_service.notifications GROUP BY status") == [
        ("dead", 1250),
        ("suppressed", 1250),
    ]
    assert await shop.sql("TABLE notification_service.erasures") == []


async def test_while_an_erasure_is_under_way_others_get_their_mails_and_the_erased_none(shop, auth, mails):
    auth.knows(NEIGHBOUR, "neighbour@customer.example")
    await shop.hear(REGISTERED)
    await shop.sql(MANY)
    await shop.hear(order_confirmed(order_id=OrderId(new_id()), customer_id=NEIGHBOUR), stock_low())

    await shop.hear(ERASED, order_confirmed())
    await sending.step(shop.parts)

    assert {mail["To"] for mail in mails.mails} == {"neighbour@customer.example", "staff@ordermill.example"}
    assert len(mails.mails) == 2
    assert await shop.sql("SELECT * FROM notification_service.erasures") == [(CUSTOMER,)]
    # What is written meanwhile says nothing from the beginning.
    assert await shop.sql(SAYING) == [(1502,)]


async def test_an_erasure_waits_for_nobody_and_is_not_over_before_it_is_complete(shop):
    await shop.hear(order_confirmed(), order_confirmed(order_id=OrderId(new_id())))
    one = "SELECT id FROM notification_service.notifications ORDER BY id LIMIT 1 FOR UPDATE"
    async with shop.parts.database.transaction() as somebody_else:
        await somebody_else.sql(one)
        await shop.hear(ERASED)

        assert await shop.sql(SAYING) == [(1,)]
        assert await goes_on(shop) == [False]

    assert await goes_on(shop) == [True, True, False]
    assert await shop.sql(SAYING) == [(0,)]


async def test_two_workers_do_not_go_on_with_the_same_erasure(shop):
    await shop.hear(order_confirmed(), ERASED)

    async with shop.parts.database.transaction() as first, shop.parts.database.transaction() as second:
        assert await store.take_erasure(first) == CUSTOMER
        assert await store.take_erasure(second) is None


FAILS = f"""
CREATE FUNCTION notification_service.fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'as told'; END$$;
CREATE TRIGGER fails BEFORE UPDATE ON notification_service.notifications FOR EACH ROW
WHEN (OLD.user_id IN ('{UUID(int=0)}', '{UUID(int=2**128 - 1)}')) EXECUTE FUNCTION notification_service.fail();
INSERT INTO notification_service.erasures VALUES ('{UUID(int=0)}'), ('{UUID(int=2**128 - 1)}')
"""  # noqa: S608 -- ids of the tests


async def test_an_erasure_that_fails_keeps_no_other_from_going_on(shop):
    """Whoever always took the same one, the first or the last, would meet one that fails."""
    for failing in (UUID(int=0), UUID(int=2**128 - 1)):
        await shop.hear(order_confirmed(order_id=OrderId(new_id()), customer_id=UserId(failing)))
    await shop.hear(order_confirmed(), ERASED)
    for statement in FAILS.split(";\n"):
        await shop.sql(statement)

    for _ in range(200):
        with suppress(RaiseError):
            await erasing.step(shop.parts)

    assert await shop.sql("SELECT count(*) FROM notification_service.erasures") == [(2,)]


async def test_an_address_is_forgotten_thirty_days_after_sending(shop):
    await shop.hear(order_confirmed())
    await sending.step(shop.parts)

    await shop.sql("UPDATE notification_service.notifications SET sent_at = now() - interval '29 days 23 hours'")
    assert await retention.step(shop.parts) is False
    assert await shop.rows("address") == [(ADDRESS,)]

    await shop.sql("UPDATE notification_service.notifications SET sent_at = now() - interval '30 days 1 second'")
    assert await retention.step(shop.parts) is False
    assert await shop.rows("status, address") == [("sent", None)]
