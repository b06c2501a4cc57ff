"""A mail server in the test's own loop that keeps what it takes, and refuses what it is told to refuse."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """``refusals`` maps addresses to SMTP replies; ``reply`` is what every mail is answered with."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refusals: dict[str, str] = {}
        self.sender_reply = "250 OK"
        self.reply = "250 OK"
        self.connections = 0
        self._sessions: list[SMTP] = []
        self.url = ""

    def connect(self) -> SMTP:
        self.connections += 1
        session = SMTP(self, loop=asyncio.get_running_loop())
        self._sessions.append(session)
        return session

    def hang_up(self) -> None:
        for session in self._sessions:
            session.transport.close()

    async def handle_MAIL(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: object):  # noqa: N802 -- aiosmtpd's name
        envelope.mail_from = address
        return self.sender_reply

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: object):  # noqa: N802 -- aiosmtpd's name
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope):  # noqa: N802 -- aiosmtpd's name
        if self.reply.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content, policy=default))
        return self.reply


@asynccontextmanager
async def mailbox() -> AsyncIterator[Mailbox]:
    box = Mailbox()
    server = await asyncio.get_running_loop().create_server(box.connect, "127.0.0.1", 0)
    box.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()
