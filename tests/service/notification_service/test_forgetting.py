import asyncio

from chassis.ids import new_id
from contracts.accounts import UserErased, UserRegistered
from contracts.types import OrderId
from notification_service import retention, sending
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


async def test_an_address_is_forgotten_thirty_days_after_sending(shop):
    await shop.hear(order_confirmed())
    await sending.step(shop.parts)

    await shop.sql("UPDATE notification_service.notifications SET sent_at = now() - interval '29 days 23 hours'")
    assert await retention.step(shop.parts) is False
    assert await shop.rows("address") == [(ADDRESS,)]

    await shop.sql("UPDATE notification_service.notifications SET sent_at = now() - interval '30 days 1 second'")
    assert await retention.step(shop.parts) is False
    assert await shop.rows("status, address") == [("sent", None)]
