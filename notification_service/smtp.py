"""Mail over SMTP: a few connections, each used for many mails, and what the server's answers mean."""

from asyncio import Semaphore
from contextlib import suppress
from datetime import UTC, datetime
from email.errors import MessageError
from email.header import Header
from email.headerregistry import Address
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime, formataddr
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib

from notification_service.channels import Mail, Undeliverable, Undelivered

TIMEOUT = 10.0
IDLE = 10.0
_PERMANENT = 500
_ON_THE_WIRE = compat32.clone(linesep="\r\n", mangle_from_=False)


class SmtpMailer:
    """Sends mails through one server. Connections are opened on demand and closed after ten idle seconds."""

    def __init__(self, url: str, sender: Address, *, connections: int) -> None:
        self._options = _options(url)
        self._sender = sender
        self._free = Semaphore(connections)
        self._idle: list[tuple[aiosmtplib.SMTP, float]] = []

    async def send(self, mail: Mail) -> None:
        recipient = _recipient(mail.address)
        message = _message(mail, self._sender, recipient)
        async with self._free:
            client = await self._connect()
            try:
                await client.sendmail(self._sender.addr_spec, recipient.addr_spec, message)
            except aiosmtplib.SMTPRecipientsRefused as refused:
                self._keep(client)
                raise _verdict(refused.recipients[0].code) from None
            except aiosmtplib.SMTPDataError as refused:
                self._keep(client)
                raise _verdict(refused.code) from None
            except aiosmtplib.SMTPResponseException as refused:
                # A refused sender or greeting is our configuration, no fault of this mail: it waits for the mend.
                client.close()
                reason = f"smtp_{refused.code}"
                raise Undelivered(reason) from None
            except (aiosmtplib.SMTPException, OSError):
                client.close()
                reason = "connection_lost"
                raise Undelivered(reason) from None
            except BaseException:
                client.close()
                raise
            self._keep(client)

    async def _connect(self) -> aiosmtplib.SMTP:
        while self._idle:
            client, since = self._idle.pop()
            if client.is_connected and monotonic() - since < IDLE:
                return client
            client.close()
        client = aiosmtplib.SMTP(timeout=TIMEOUT, **self._options)
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError, ValueError):
            client.close()
            reason = "no_connection"
            raise Undelivered(reason) from None
        return client

    def _keep(self, client: aiosmtplib.SMTP) -> None:
        self._idle.append((client, monotonic()))

    async def rest(self) -> None:
        await self._leave(monotonic() - IDLE)

    async def close(self) -> None:
        await self._leave(float("inf"))

    async def _leave(self, before: float) -> None:
        leaving = [client for client, since in self._idle if since < before]
        self._idle = [(client, since) for client, since in self._idle if since >= before]
        for client in leaving:
            with suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=1)
            client.close()


def _options(url: str) -> dict[str, Any]:
    """The client's options for ``smtp://user:password@host:25``; a server that offers STARTTLS is spoken to with it."""
    parts = urlsplit(url)
    use_tls = parts.scheme == "smtps"
    return {
        "hostname": parts.hostname or "127.0.0.1",
        "port": parts.port or (465 if use_tls else 25),
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "use_tls": use_tls,
    }


def _verdict(code: int) -> Exception:
    return Undeliverable(f"smtp_{code}") if code >= _PERMANENT else Undelivered(f"smtp_{code}")


def _recipient(address: str) -> Address:
    local, _, host = address.rpartition("@")
    try:
        return Address(addr_spec=f"{local}@{host.encode('idna').decode()}")
    except (MessageError, ValueError, IndexError):
        reason = "address_invalid"
        raise Undeliverable(reason) from None


def _message(mail: Mail, sender: Address, recipient: Address) -> bytes:
    # The older classes of the standard library: a fifth of the time that EmailMessage takes.
    message = MIMEMultipart("alternative")
    message["To"] = recipient.addr_spec
    message["From"] = formataddr((sender.display_name, sender.addr_spec))
    message["Subject"] = Header(mail.subject).encode()
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"
    message.attach(MIMEText(mail.text, "plain", "utf-8"))
    message.attach(MIMEText(mail.html, "html", "utf-8"))
    return message.as_bytes(policy=_ON_THE_WIRE)
