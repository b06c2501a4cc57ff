"""The local mailbox: SMTP in, JSON out, kept over restarts."""

import asyncio
import json
import os
import signal
import sys
from email.message import EmailMessage

import aiosmtplib
import httpx2
import pytest
from aiosmtpd.smtp import Envelope

from ordermill.mailbox import Mailbox, application, read_mail
from ordermill.ports import HOST, find_free
from ordermill.probes import answers_ok
from ordermill.process import Spec
from ordermill.supervisor import Supervisor
from tests.support.eventually import eventually


@pytest.fixture
def mailbox(tmp_path):
    return Mailbox(tmp_path)


@pytest.fixture
async def client(mailbox):
    transport = httpx2.ASGITransport(application(mailbox))
    async with httpx2.AsyncClient(transport=transport, base_url="http://mailbox") as client:
        yield client


def a_mail(subject="Your order", to="ada@example.com"):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@example.com", to, subject
    message["Message-ID"] = "<1@shop>"
    message.set_content("Grüße\n")
    message.add_alternative("<p>Grüße</p>\n", subtype="html")
    return message


def taken(subject="Your order", to="ada@example.com"):
    return read_mail(bytes(a_mail(subject, to)), "shop@example.com", [to])


@pytest.mark.parametrize("host", ["127.0.0.1:8025", "[::1]:8025", "localhost:8025", "mailbox", "shop.localhost"])
async def test_whoever_asks_for_it_by_a_near_name_is_answered(client, host):
    assert (await client.get("/messages", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8025", "127.0.0.1.evil.example", "localhost.evil.example"]
)
async def test_a_page_whose_name_was_made_to_point_here_reads_no_mails(client, mailbox, host):
    mailbox.add(taken())

    answers = [await client.request(method, "/messages", headers={"Host": host}) for method in ("GET", "DELETE")]

    assert [answer.status_code for answer in answers] == [421, 421]
    assert len(mailbox.mails) == 1


async def test_a_mail_is_shown_with_all_its_parts(client, mailbox):
    mailbox.add(taken())

    [mail] = (await client.get("/messages")).json()

    assert mail.pop("id")
    assert mail.pop("received_at").endswith("Z")
    assert mail.pop("headers")["Message-ID"] == "<1@shop>"
    assert mail == {
        "from": "shop@example.com",
        "to": ["ada@example.com"],
        "subject": "Your order",
        "text": "Grüße\n",
        "html": "<p>Grüße</p>\n",
        "message_id": "<1@shop>",
    }


def nested(head, depth):
    """So many parts, each in the one before."""
    return b"Subject: x\r\n" + b"".join(head.replace(b"?", b"%d" % number) for number in range(depth)) + b"\r\nx\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: multipart/mixed; boundary=b?\r\n\r\n--b?\r\n",
        b"content-type: message/rfc822\r\n\r\n",
        b"--b\n\nx\n",
    ],
)
async def test_a_mail_of_very_many_parts_is_refused_unread(mailbox, head):
    few, many = (Envelope() for _ in range(2))
    few.content, many.content = nested(head, 10), nested(head, 1000)

    answers = [await mailbox.handle_DATA(None, None, envelope) for envelope in (few, many)]

    assert [answer[:3] for answer in answers] == ["250", "554"]
    assert len(mailbox.mails) == 1


async def test_mails_are_listed_newest_first_and_by_address(client, mailbox):
    for subject, to in (("one", "Ada@example.com"), ("two", "bob@example.com"), ("three", "ada@example.com")):
        mailbox.add(taken(subject, to))

    everybody = (await client.get("/messages")).json()
    ada = (await client.get("/messages", params={"to": " ADA@example.com"})).json()

    assert [mail["subject"] for mail in everybody] == ["three", "two", "one"]
    assert [mail["subject"] for mail in ada] == ["three", "one"]


async def test_one_mail_is_found_by_its_id_and_an_unknown_one_is_not(client, mailbox):
    mailbox.add(taken())
    [mail] = (await client.get("/messages")).json()

    assert (await client.get(f"/messages/{mail['id']}")).json() == mail
    assert (await client.get("/messages/nothing")).status_code == 404


async def test_deleted_mails_are_gone_after_a_restart_too(client, mailbox, tmp_path):
    mailbox.add(taken())

    assert (await client.delete("/messages")).status_code == 204

    assert (await client.get("/messages")).json() == []
    assert list(Mailbox(tmp_path).mails) == []


async def test_the_page_shows_mails_without_running_them(client, mailbox):
    mailbox.add({**taken("<script>"), "text": None, "html": "<p>hello</p>"})

    page = (await client.get("/")).text

    assert "&lt;script&gt;" in page
    assert "<pre>hello</pre>" in page
    assert (await client.get("/livez")).text == "ok"


def test_mails_outlive_a_restart_without_the_line_that_a_kill_has_torn(mailbox, tmp_path):
    mailbox.add(taken("kept"))
    for torn in ('{"subject": "to', '\n{"subject": {}'):
        with mailbox.file.open("a") as file:
            file.write(torn)

    assert [mail["subject"] for mail in Mailbox(tmp_path).mails] == ["kept"]


def test_only_the_newest_mails_are_kept(tmp_path):
    mailbox = Mailbox(tmp_path, keeps=2)

    for number in range(6):
        mailbox.add(taken(str(number)))

    assert [mail["subject"] for mail in mailbox.to(None)] == ["5", "4"]
    assert len(mailbox.file.read_text().splitlines()) <= 4
    assert [mail["subject"] for mail in Mailbox(tmp_path, keeps=2).to(None)] == ["5", "4"]


async def test_the_process_keeps_mails_when_it_is_killed_and_ends_in_good_order_with_a_sender_connected(tmp_path):
    smtp = find_free(None, 14_000, set())
    http = find_free(None, 14_000, {smtp})
    argv = ("mailbox", "--smtp-port", str(smtp), "--http-port", str(http), "--folder", str(tmp_path / "mails"))
    supervisor = Supervisor(print)
    spec = Spec(
        name="mailbox",
        argv=(sys.executable, "-m", "ordermill", *argv),
        log=tmp_path / "log",
        env=dict(os.environ),
        ready=answers_ok(http, "/readyz"),
    )
    running = await supervisor.start_ready(spec)

    await aiosmtplib.send(a_mail(), hostname=HOST, port=smtp)
    os.kill(running.pid, signal.SIGKILL)
    await eventually(lambda: running.restarts == 1 and running.status == "ready")
    async with httpx2.AsyncClient(base_url=f"http://{HOST}:{http}") as client:
        mails = (await client.get("/messages")).json()
    sender = aiosmtplib.SMTP(hostname=HOST, port=smtp)
    await sender.connect()
    await asyncio.wait_for(supervisor.stop(), 60)
    sender.close()

    assert running.child.returncode == 0
    assert [mail["subject"] for mail in mails] == ["Your order"]
    assert json.loads((tmp_path / "mails" / "mails.jsonl").read_text())["to"] == ["ada@example.com"]


def test_mails_are_nobody_elses_to_read(tmp_path):
    Mailbox(tmp_path / "mails")

    assert (tmp_path / "mails").stat().st_mode & 0o077 == 0
