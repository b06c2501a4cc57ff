"""Where the mailbox takes mails: conversations over SMTP, so many at once, and none for longer than somebody speaks."""

import asyncio
import re
from functools import partial
from hmac import compare_digest
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from ordermill.mails import Mails, read_mail

LARGEST_MAIL = 1024 * 1024
MOST_PARTS = 20
MOST_RECIPIENTS = 100
MOST_CONVERSATIONS = 100
SIGNS_IN_WITHIN = 10.0  # seconds
SILENT_FOR = 60.0
# What a part cannot begin without. Each line of a mail is compared with the end of every part that it is nested in.
_PARTS = re.compile(rb"(?i)(?:^|[\r\n])(?:--|content-type:)")


class Inbox:
    """What the SMTP server does with a mail: one of a stranger's gets no further than to say who it is from."""

    def __init__(self, mails: Mails, password: str | None) -> None:
        self._mails = mails
        self._password = password

    async def handle_MAIL(  # noqa: N802  aiosmtpd's name
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._password and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802  aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: object
    ) -> str:
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        content = envelope.content or b""
        raw = content.encode() if isinstance(content, str) else content
        if len(_PARTS.findall(raw)) > MOST_PARTS:
            return "554 5.6.0 Too many parts"
        self._mails.add(read_mail(raw, envelope.mail_from or "", envelope.rcpt_tos))
        return "250 OK"


class _Session(Session):
    """aiosmtpd sets what it has deprecated, and warns of it, at each sign-in; here it is a field as any other."""

    login_data: bytes | None = None


class Conversations:
    """Those with who hands mails in: with this password when there is one, else with anybody.

    Where there are as many as there may be, whoever has been there for longest without the password gives way to a
    newcomer; where all have shown it, the newcomer does.
    """

    def __init__(self, mails: Mails, password: str | None) -> None:
        self._inbox = Inbox(mails, password)
        self._password = password
        self._all: dict[_Conversation, None] = {}

    def __call__(self) -> SMTP:
        """A new one, as what a server makes for each connection."""
        password = self._password
        return _Conversation(
            self,
            self._inbox,
            data_size_limit=LARGEST_MAIL,
            enable_SMTPUTF8=True,
            hostname="localhost",
            timeout=SILENT_FOR,
            auth_require_tls=password is None,
            auth_callback=partial(_is_ours, password) if password else None,
        )

    def begun(self, one: "_Conversation") -> None:
        """One has begun; another one ends for it where there are too many."""
        self._all[one] = None
        if len(self._all) > MOST_CONVERSATIONS:
            gone = next(filter(self.is_strangers, self._all), one)
            self.ended(gone)
            gone.end()

    def ended(self, one: "_Conversation") -> None:
        """One has ended."""
        self._all.pop(one, None)

    def is_strangers(self, one: "_Conversation") -> bool:
        """Whether it is with somebody who has not shown the password that there is."""
        return self._password is not None and not (one.session and one.session.authenticated)


class _Conversation(SMTP):
    def __init__(self, conversations: Conversations, inbox: Inbox, **how: Any) -> None:
        super().__init__(inbox, **how)
        self._conversations = conversations

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._signing_in = self.loop.call_later(SIGNS_IN_WITHIN, self._end_with_a_stranger)
        self._conversations.begun(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._signing_in.cancel()
        self._conversations.ended(self)
        super().connection_lost(error)

    def end(self) -> None:
        """At once, whatever is still to be read: who reads nothing would stay."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    def _end_with_a_stranger(self) -> None:
        if self._conversations.is_strangers(self):
            self.end()

    def _timeout_cb(self) -> None:
        self.end()

    def _create_session(self) -> Session:
        return _Session(self.loop)


def _is_ours(password: str, _mechanism: str, _login: bytes, given: bytes) -> bool:
    return compare_digest(given, password.encode())
