import asyncio
from email.headerregistry import Address

import pytest
from loguru import logger

from notification_service import sending, smtp
from notification_service.channels import LogMailer, Mail, NullMailer, Undelivered
from notification_service.domain.mails import Template
from notification_service.settings import Settings
from notification_service.smtp import SmtpMailer
from tests.support.eventually import eventually
from tests.support.mailbox import mailbox
from tests.support.notification_service import order_confirmed

SENDER = Address("Ordermill", "orders", "ordermill.example")
MAIL = Mail(
    message_id="<1@ordermill.example>",
    address="jane@customer.example",
    subject="Hello",
    text="Text",
    html="<p>Page</p>",
)


def a_mailer(url: str) -> SmtpMailer:
    return SmtpMailer(url, SENDER, connections=1)


async def test_a_mail_server_that_is_not_there_delays_every_mail(unused_tcp_port):
    mailer = a_mailer(f"smtp://127.0.0.1:{unused_tcp_port}")

    with pytest.raises(Undelivered, match="no_connection"):
        await mailer.send(MAIL)


async def test_a_server_that_does_not_know_our_password_delays_every_mail(mails):
    mailer = a_mailer(mails.url.replace("smtp://", "smtp://shop:p%40ss@"))

    with pytest.raises(Undelivered, match="no_connection"):
        await mailer.send(MAIL)


async def test_a_server_that_speaks_no_tls_is_not_spoken_to_when_tls_was_asked_for(mails):
    mailer = a_mailer(mails.url.replace("smtp://", "smtps://"))

    with pytest.raises(Undelivered, match="no_connection"):
        await mailer.send(MAIL)


async def test_a_connection_that_was_idle_for_too_long_is_replaced(monkeypatch, mails):
    mailer = a_mailer(mails.url)
    await mailer.send(MAIL)
    monkeypatch.setattr(smtp, "IDLE", 0.0)

    await mailer.send(MAIL)
    await mailer.close()

    assert (len(mails.mails), mails.connections) == (2, 2)


async def test_a_connection_that_the_server_cut_meanwhile_is_replaced(mails):
    mailer = a_mailer(mails.url)
    await mailer.send(MAIL)
    mails.hang_up()
    await eventually(lambda: not mailer._idle[0][0].is_connected)

    await mailer.send(MAIL)
    await mailer.close()

    assert (len(mails.mails), mails.connections) == (2, 2)


async def test_a_connection_is_kept_while_it_is_used_and_left_when_it_is_not(monkeypatch, mails):
    mailer = a_mailer(mails.url)
    await mailer.send(MAIL)
    await mailer.rest()
    await mailer.send(MAIL)
    assert mails.connections == 1

    monkeypatch.setattr(smtp, "IDLE", 0.0)
    await mailer.rest()
    monkeypatch.undo()
    await mailer.send(MAIL)
    await mailer.close()

    assert mails.connections == 2


async def test_a_connection_that_breaks_while_sending_delays_the_mail():
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        for _ in range(2):
            await reader.readline()
            writer.write(b"250 OK\r\n")
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    mailer = a_mailer(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    with pytest.raises(Undelivered, match="connection_lost"):
        await mailer.send(MAIL)

    server.close()
    await server.wait_closed()


async def test_a_mail_that_nobody_waits_for_any_more_leaves_no_connection_behind():
    async with mailbox() as box:
        mailer = a_mailer(box.url)
        answer = asyncio.Event()

        async def silence(*_arguments: object) -> str:
            await answer.wait()
            return "250 OK"

        box.handle_DATA = silence  # type: ignore[method-assign]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(mailer.send(MAIL), 0.3)
        answer.set()

        assert mailer._idle == []


async def test_the_log_channel_shows_the_mail_without_its_address():
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message} {extra}")

    await LogMailer().send(MAIL)

    logger.remove(sink)
    (line,) = lines
    assert "mail: Hello\nText" in line
    assert "jane" not in line


@pytest.mark.parametrize(("channel", "mailer"), [("smtp", SmtpMailer), ("log", LogMailer), ("null", NullMailer)])
async def test_a_setting_chooses_how_mails_leave(shop, mails, channel, mailer):
    settings = shop.parts.settings.model_copy(update={"mail_channel": channel})
    shop.parts.own = sending.Desk(settings, shop.parts.own.addresses, shop.parts.own.handover.begin)
    assert type(shop.parts.own.mailer) is mailer
    await shop.hear(order_confirmed())

    await sending.step(shop.parts)
    await sending.step(shop.parts)
    await shop.parts.own.mailer.close()

    assert await shop.rows("status") == [("sent",)]
    assert len(mails.mails) == (channel == "smtp")


def test_how_long_a_mail_is_tried_can_be_set_for_each_template(monkeypatch):
    for name in ("DATABASE_URL", "BROKER_URL", "EDGE_KEY"):
        monkeypatch.setenv(f"ORDERMILL_{name}", "x")
    monkeypatch.setenv("ORDERMILL_MAX_AGES", '{"order_confirmed": "PT1H"}')

    settings = Settings()

    assert settings.max_age(Template.ORDER_CONFIRMED).total_seconds() == 3600
    assert settings.max_age(Template.PAYMENT_FAILED).total_seconds() == 1800
