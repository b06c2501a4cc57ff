"""A mailbox for one machine: takes every mail over SMTP and shows it at GET /messages; nothing leaves.

The newest 10,000 mails outlive a restart in one file, a JSON object a line.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.policy import EmailPolicy
from functools import lru_cache
from html import escape
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ordermill import whose
from ordermill.ports import HOST
from ordermill.serving import Server

KEEPS = 10_000
LARGEST_MAIL = 1024 * 1024
MOST_PARTS = 20
# What a part cannot begin without. Each line of a mail is compared with the end of every part that it is nested in.
_PARTS = re.compile(rb"(?i)(?:^|[\r\n])(?:--|content-type:)")

Mail = Mapping[str, Any]


@lru_cache
def _read_header(name: str, value: str) -> Any:
    return policy.default.header_fetch_parse(name, value)


class _ReadsHeadersOnce(EmailPolicy):
    """A message asks for its Content-Type again and again, and the default reads it anew each time."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        return _read_header(name, value)


_POLICY = _ReadsHeadersOnce()


class Mailbox:
    """The mails, newest last. A mail is on its way to the disk before its sender hears that it was taken."""

    def __init__(self, folder: Path, keeps: int = KEEPS) -> None:
        # Mails name people, and are nobody else's to read.
        self.file = whose.made(folder, 0o700, "No mails are kept in") / "mails.jsonl"
        self.mails: deque[Mail] = deque(_stored(self.file), maxlen=keeps)
        self._rewrite()

    def add(self, mail: Mail) -> None:
        """Keep a mail; the oldest one goes when there are too many."""
        self.mails.append(mail)
        self._lines += 1
        if self._lines > 2 * (self.mails.maxlen or KEEPS):
            return self._rewrite()
        with self.file.open("a") as file:
            file.write(json.dumps(mail) + "\n")
        return None

    def clear(self) -> None:
        """Forget all mails."""
        self.mails.clear()
        self._rewrite()

    def to(self, address: str | None) -> list[Mail]:
        """The mails, newest first; those to one address when it is given."""
        wanted = address.strip().lower() if address else None
        return [mail for mail in reversed(self.mails) if not wanted or wanted in map(str.lower, mail["to"])]

    def _rewrite(self) -> None:
        draft = self.file.with_suffix(".draft")
        draft.write_text("".join(json.dumps(mail) + "\n" for mail in self.mails))
        draft.replace(self.file)
        self._lines = len(self.mails)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        content = envelope.content or b""
        raw = content.encode() if isinstance(content, str) else content
        if len(_PARTS.findall(raw)) > MOST_PARTS:
            return "554 5.6.0 Too many parts"
        self.add(read_mail(raw, envelope.mail_from or "", envelope.rcpt_tos))
        return "250 OK"


def read_mail(raw: bytes, sender: str, recipients: list[str]) -> Mail:
    """A mail as GET /messages shows it."""
    message = cast("EmailMessage", message_from_bytes(raw, policy=_POLICY))
    return {
        "id": uuid4().hex,
        "from": sender,
        "to": recipients,
        "subject": str(message.get("Subject", "")),
        "text": _body(message, "plain"),
        "html": _body(message, "html"),
        "message_id": str(message.get("Message-ID", "")),
        "received_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "headers": {name: str(value) for name, value in message.items()},
    }


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    return str(part.get_content()) if part else None


def _stored(file: Path) -> list[Mail]:
    """What the file holds; a last line that was torn by a kill is left out."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}") and _is_json(line)]


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


class _OwnNames:
    """Refuses who asks for it by a name of the public DNS: a page can have its own one point here, and read mails."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] != "http" or is_near(Headers(scope=scope).get("host", ""))
        answer = self._app if ours else PlainTextResponse("Ask for it by its address.", HTTPStatus.MISDIRECTED_REQUEST)
        await answer(scope, receive, send)


def is_near(host: str) -> bool:
    """Whether a host is named by its address, by one word, or under a domain that no public server answers for."""
    name = re.sub(r":\d+$", "", host.lower()).rstrip(".").strip("[]")
    with suppress(ValueError):
        return bool(ip_address(name))
    return "." not in name or name.endswith((".localhost", ".local", ".internal"))


def application(mailbox: Mailbox) -> Starlette:
    """The HTTP side: the mails as JSON, as a page, and the probes."""

    async def list_messages(request: Request) -> Response:
        return JSONResponse(mailbox.to(request.query_params.get("to")))

    async def delete_messages(_request: Request) -> Response:
        mailbox.clear()
        return Response(status_code=204)

    async def get_message(request: Request) -> Response:
        found = [mail for mail in mailbox.mails if mail["id"] == request.path_params["id"]]
        return JSONResponse(found[0]) if found else JSONResponse({"detail": "No such mail."}, status_code=404)

    async def page(_request: Request) -> Response:
        return HTMLResponse(_page(mailbox.to(None)[:200]))

    async def alive(_request: Request) -> Response:
        return PlainTextResponse("ok")

    return Starlette(
        routes=[
            Route("/", page),
            Route("/messages", list_messages, methods=["GET"]),
            Route("/messages", delete_messages, methods=["DELETE"]),
            Route("/messages/{id}", get_message),
            *(Route(path, alive) for path in ("/livez", "/readyz")),
        ],
        middleware=[Middleware(_OwnNames)],
    )


def _page(mails: list[Mail]) -> str:
    entries = "".join(
        f"<details><summary><b>{escape(mail['subject'])}</b> to {escape(', '.join(mail['to']))}, {mail['received_at']}"
        f"</summary><pre>{escape(mail['text'] or _without_tags(mail['html'] or ''))}</pre></details>"
        for mail in mails
    )
    return f"<!doctype html><html lang=en><meta charset=utf-8><title>Mailbox</title><h1>Mailbox</h1>{entries}</html>"


def _without_tags(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html)


async def serve(folder: Path, smtp_port: int, http_port: int, host: str = HOST) -> None:
    """Take and show mails until SIGTERM."""
    mailbox = Mailbox(folder)
    config = uvicorn.Config(
        application(mailbox),
        host=host,
        port=http_port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(
        lambda: SMTP(mailbox, data_size_limit=LARGEST_MAIL, enable_SMTPUTF8=True, hostname="localhost"), host, smtp_port
    )
    try:
        await Server(config).serve()
    finally:
        smtp.close()
