"""The local mailbox: SMTP in, JSON out, kept over restarts."""

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import suppress
from email.message import EmailMessage

import aiosmtplib
import httpx2
import pytest
from aiosmtpd.smtp import Envelope

from ordermill import mails, smtp
from ordermill.cli import main
from ordermill.mailbox import application
from ordermill.mails import Mails, read_mail
from ordermill.ports import HOST, find_free, held, is_holdable
from ordermill.probes import answers_ok
from ordermill.process import Spec
from ordermill.smtp import Conversations, Inbox
from ordermill.supervisor import Supervisor
from tests.support.eventually import eventually

KEY, PASSWORD = "of-readers", "of-senders"
OPEN = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def mailbox(tmp_path):
    return Mails(tmp_path)


@pytest.fixture
async def stranger(mailbox):
    transport = httpx2.ASGITransport(application(mailbox, KEY))
    async with httpx2.AsyncClient(transport=transport, base_url="http://mailbox") as client:
        yield client


@pytest.fixture
async def client(stranger):
    stranger.headers.update(OPEN)
    return stranger


def subjects(mailbox, **wanted):
    return [json.loads(line)["subject"] for line in mailbox.page(**wanted).lines]


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
    assert len(subjects(mailbox)) == 1


async def test_nobody_without_the_key_sees_or_forgets_a_mail(stranger, mailbox):
    mailbox.add(taken())
    [mail] = map(json.loads, mailbox.page().lines)
    paths = ("/", "/messages", f"/messages/{mail['id']}", "/nowhere", "//", "/?key=wrong", f"/messages?key={KEY}")
    wrong = ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}, {"Cookie": f"mailbox={KEY}"})

    answers = [await stranger.get(path, headers=headers) for path in paths for headers in wrong]
    answers.append(await stranger.delete("/messages"))

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    [told] = {answer.text for answer in answers}
    assert re.findall("`(.+?)`", told) == [
        "ordermill ps",
        "docker-compose exec mailbox cat /run/secrets/ORDERMILL_MAILBOX_KEY",
    ]
    assert subjects(mailbox) == ["Your order"]
    assert [(await stranger.get(path)).text for path in ("/livez", "/readyz")] == ["ok", "ok"]


async def test_a_browser_keeps_the_key_of_the_link_where_no_page_reads_it(stranger, mailbox):
    mailbox.add(taken())

    shown = await stranger.get(f"/?key={KEY}")
    page = await stranger.get(shown.headers["location"])

    assert (shown.status_code, shown.headers["location"]) == (303, "/")
    attributes = {word.strip().lower() for word in shown.headers["set-cookie"].split(";")[1:]}
    assert attributes == {"httponly", "path=/", "samesite=strict"}
    assert page.status_code == 200
    assert "Your order" in page.text
    assert KEY not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def test_two_mailboxes_of_one_machine_have_a_cookie_each(tmp_path):
    names = set()
    for key in ("one", "two"):
        transport = httpx2.ASGITransport(application(Mails(tmp_path), key))
        async with httpx2.AsyncClient(transport=transport, base_url="http://mailbox") as client:
            names.add((await client.get(f"/?key={key}")).headers["set-cookie"].partition("=")[0])

    assert len(names) == 2


def test_a_mailbox_that_was_told_no_key_does_not_start(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ORDERMILL_SECRETS_DIR", str(tmp_path))

    with pytest.raises(SystemExit) as end:
        main(["mailbox", "--smtp-port", "1", "--http-port", "2", "--folder", str(tmp_path / "mails")])

    assert end.value.code == 5
    assert "→ Set ORDERMILL_MAILBOX_KEY to a secret.\n" in capsys.readouterr().err
    assert not (tmp_path / "mails").exists()


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

    inbox = Inbox(mailbox, PASSWORD)
    answers = [await inbox.handle_DATA(None, None, envelope) for envelope in (few, many)]

    assert [answer[:3] for answer in answers] == ["250", "554"]
    assert len(subjects(mailbox)) == 1


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
    assert subjects(Mails(tmp_path)) == []


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

    assert subjects(Mails(tmp_path)) == ["kept"]


def test_only_the_newest_mails_are_kept(tmp_path):
    mailbox = Mails(tmp_path, keeps=2)

    for number in range(6):
        mailbox.add(taken(str(number)))

    assert subjects(mailbox) == ["5", "4"]
    assert subjects(Mails(tmp_path, keeps=2)) == ["5", "4"]
    assert len(mailbox.file.read_text().splitlines()) == 2


def large(number, size=1000):
    return {**taken(str(number)), "text": "é" * size}


def test_memory_and_file_stay_within_their_room_however_many_mails_come(tmp_path):
    room = 10_000
    mailbox = Mails(tmp_path, room=room)

    sizes = []
    for number in range(100):
        mailbox.add(large(number))
        sizes.append(mailbox.file.stat().st_size)

    kept = mailbox.page().lines
    assert subjects(mailbox) == ["99", "98", "97", "96"]
    assert sum(map(len, kept)) <= room < sum(map(len, kept)) + len(kept[0])
    assert room < max(sizes) <= 2 * room
    again = Mails(tmp_path, room=room)
    assert again.page().lines == kept
    assert again.file.stat().st_size <= room


def test_a_mail_that_is_larger_than_all_room_is_in_nobodys_way(tmp_path):
    mailbox = Mails(tmp_path, room=10_000)

    mailbox.add(large("too large", size=20_000))
    mailbox.add(taken("small"))

    assert subjects(mailbox) == subjects(Mails(tmp_path, room=10_000)) == ["small"]


async def test_a_list_is_told_in_pages_of_so_many_mails_and_so_many_bytes(client, mailbox, monkeypatch):
    monkeypatch.setattr(mails, "PAGE", 3)
    monkeypatch.setattr(mails, "PAGE_ROOM", 10_000)
    for number in range(4):
        mailbox.add(large(number, size=100 if number else 6_000))
    mailbox.add(taken("of somebody else", "bob@example.com"))
    mailbox.add(large("last", size=6_000))

    seen, url = [], "/messages?to=ada@example.com"
    while url:
        answer = await client.get(url)
        seen.append([mail["subject"] for mail in answer.json()])
        url = answer.headers.get("link", "").partition(">")[0].removeprefix("<")

    assert seen == [["last"], ["3", "2", "1"], ["0"]]
    first = await client.get("/")
    assert first.text.count("<details>") == 1
    [older] = re.findall(r'<a href="([^"]+)">older</a>', first.text)
    assert (await client.get(older)).text.count("<details>") == 3
    assert (await client.get("/messages?before=forgotten")).json() == []


async def test_the_process_keeps_mails_and_ports_when_it_is_killed_and_ends_in_good_order_with_a_sender(tmp_path):
    smtp = find_free(None, 14_000, set(), is_holdable)
    http = find_free(None, 14_000, {smtp}, is_holdable)
    argv = ("mailbox", "--smtp-port", str(smtp), "--http-port", str(http), "--folder", str(tmp_path / "mails"))
    supervisor = Supervisor(print)
    spec = Spec(
        name="mailbox",
        argv=(sys.executable, "-m", "ordermill", *argv),
        log=tmp_path / "log",
        env={**os.environ, "ORDERMILL_MAILBOX_KEY": KEY, "ORDERMILL_MAILBOX_PASSWORD": PASSWORD},
        ready=answers_ok(http, "/readyz"),
    )
    with held([smtp, http]):
        running = await supervisor.start_ready(spec)

        await aiosmtplib.send(a_mail(), hostname=HOST, port=smtp, username="shop", password=PASSWORD)
        os.kill(running.pid, signal.SIGKILL)
        await eventually(lambda: running.restarts == 1 and running.status == "ready")
        async with httpx2.AsyncClient(base_url=f"http://{HOST}:{http}", headers=OPEN) as client:
            mails = (await client.get("/messages")).json()
        refused = await _answered(http, b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000)
        sender = aiosmtplib.SMTP(hostname=HOST, port=smtp)
        await sender.connect()
        await asyncio.wait_for(supervisor.stop(), 60)
        sender.close()

    assert refused.startswith(b"HTTP/1.1 4")
    assert running.child.returncode == 0
    assert [mail["subject"] for mail in mails] == ["Your order"]
    assert json.loads((tmp_path / "mails" / "mails.jsonl").read_text())["to"] == ["ada@example.com"]


async def _answered(port, head):
    """All that is answered to a head that does not end."""
    reader, writer = await asyncio.open_connection(HOST, port)
    with suppress(ConnectionError):
        writer.write(head)
        await writer.drain()
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    return answer


@pytest.fixture
async def handing_in(mailbox, request):
    """Where mails are taken, by a mailbox that asks for this password."""
    server = await asyncio.get_running_loop().create_server(Conversations(mailbox, request.param), HOST, 0)
    yield {"hostname": HOST, "port": server.sockets[0].getsockname()[1], "timeout": 10}
    server.close()


@pytest.mark.parametrize("handing_in", [PASSWORD], indirect=True)
@pytest.mark.parametrize("shown", [{}, {"username": "shop", "password": "wrong"}])
async def test_nobody_hands_in_a_mail_without_the_password(handing_in, mailbox, shown):
    with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
        await aiosmtplib.send(a_mail(), **handing_in, **shown)
    async with aiosmtplib.SMTP(**handing_in) as sender:
        await sender.ehlo()
        answers = [await sender.execute_command(*words) for words in ((b"RCPT", b"TO:<a@b.example>"), (b"DATA",))]

    assert refused.value.code == (535 if shown else 530)
    assert [answer.code for answer in answers] == [503, 503]
    assert subjects(mailbox) == []


@pytest.mark.parametrize("handing_in", [PASSWORD], indirect=True)
async def test_who_shows_the_password_hands_a_mail_in_and_nothing_is_logged_of_it(handing_in, mailbox, caplog):
    await aiosmtplib.send(a_mail(), **handing_in, username="shop", password=PASSWORD)

    assert len(subjects(mailbox)) == 1
    assert caplog.messages == []


@pytest.mark.parametrize("handing_in", [None], indirect=True)
async def test_where_nobody_else_gets_in_none_is_asked_for_and_recipients_have_a_bound(handing_in, mailbox):
    async with aiosmtplib.SMTP(**handing_in) as sender:
        await sender.send_message(a_mail(), recipients=[f"{number}@example.com" for number in range(101)])

    assert [len(json.loads(line)["to"]) for line in mailbox.page().lines] == [100]


async def _connected(handing_in):
    """A connection that has been greeted."""
    reader, writer = await asyncio.open_connection(handing_in["hostname"], handing_in["port"])
    await reader.readline()
    return reader, writer


async def _is_cut(reader):
    async with asyncio.timeout(30):
        with suppress(ConnectionError):
            return await reader.read() == b""
    return True


@pytest.mark.parametrize("handing_in", [PASSWORD], indirect=True)
async def test_of_very_many_connections_the_oldest_of_a_stranger_gives_way_and_not_the_shops(handing_in, monkeypatch):
    monkeypatch.setattr(smtp, "MOST_CONVERSATIONS", 3)
    async with aiosmtplib.SMTP(**handing_in, username="shop", password=PASSWORD) as shop:
        strangers = [await _connected(handing_in) for _ in range(3)]

        assert await _is_cut(strangers[0][0])
        async with aiosmtplib.SMTP(**handing_in, username="shop", password=PASSWORD) as other:
            assert await _is_cut(strangers[1][0])
            strangers[2][1].write(b"NOOP\r\n")
            assert (await strangers[2][0].readline()).startswith(b"250")
            assert [(await each.noop()).code for each in (shop, other)] == [250, 250]
    for _, writer in strangers:
        writer.close()


async def test_of_many_that_come_at_once_each_lets_another_one_go(tmp_path, monkeypatch):
    class Stranger:
        session = None

        def end(self):
            gone.append(self)  # before the loop says that it is

    gone = []
    monkeypatch.setattr(smtp, "MOST_CONVERSATIONS", 3)
    conversations = smtp.Conversations(Mails(tmp_path), PASSWORD)
    strangers = [Stranger() for _ in range(10)]

    for each in strangers:
        conversations.begun(each)

    assert gone == strangers[:7]


@pytest.mark.parametrize("handing_in", [None], indirect=True)
async def test_where_all_are_ours_no_more_come_than_there_may_be(handing_in, monkeypatch):
    monkeypatch.setattr(smtp, "MOST_CONVERSATIONS", 1)
    async with aiosmtplib.SMTP(**handing_in) as first:
        with pytest.raises(aiosmtplib.SMTPException):
            await aiosmtplib.SMTP(**handing_in).connect()
        assert (await first.noop()).code == 250


@pytest.mark.parametrize("handing_in", [PASSWORD], indirect=True)
async def test_who_does_not_sign_in_is_cut_whatever_they_say_meanwhile(handing_in, monkeypatch):
    monkeypatch.setattr(smtp, "SIGNS_IN_WITHIN", 0.05)
    async with aiosmtplib.SMTP(**handing_in, username="shop", password=PASSWORD) as shop:
        reader, writer = await _connected(handing_in)
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"NOOP\r\n")
                await writer.drain()
                await reader.readline()
        assert (await shop.noop()).code == 250
    writer.close()


@pytest.mark.parametrize("handing_in", [PASSWORD, None], indirect=True)
async def test_who_says_nothing_is_cut_after_a_while(handing_in, monkeypatch):
    monkeypatch.setattr(smtp, "SILENT_FOR", 0.05)
    reader, writer = await _connected(handing_in)

    assert await _is_cut(reader)
    writer.close()


def test_mails_are_nobody_elses_to_read(tmp_path):
    Mails(tmp_path / "mails")

    assert (tmp_path / "mails").stat().st_mode & 0o077 == 0
