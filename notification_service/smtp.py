"""Mail over SMTP: a few connections, each used for many mails, and what the server's answers mean."""

from asyncio import Semaphore
from contextlib import suppress
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formatdate
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib

from notification_service.channels import Mail, Undeliverable, Undelivered

TIMEOUT = 10.0
IDLE = 10.0
_PERMANENT = 500


class SmtpMailer:
    """Sends mails through one server. Connections are opened on demand and closed after ten idle seconds."""

    def __init__(self, url: str, sender: Address, *, connections: int) -> None:
        self._options = _options(url)
        self._sender = sender
        self._free = Semaphore(connections)
        self._idle: list[tuple[aiosmtplib.SMTP, float]] = []

    async def send(self, mail: Mail) -> None:
        message = _message(mail, self._sender)
        async with self._free:
            client = await self._connect()
            try:
                await client.send_message(message, sender=self._sender.addr_spec, recipients=[mail.address])
            except aiosmtplib.SMTPRecipientsRefused as refused:
                await self._keep(client)
                raise _verdict(refused.recipients[0].code) from None
            except aiosmtplib.SMTPDataError as refused:
                await self._keep(client)
                raise _verdict(refused.code) from None
            except aiosmtplib.SMTPNotSupported:
                await self._keep(client)
                reason = "address_not_supported"
                raise Undeliverable(reason) from None
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
            await self._keep(client)

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

    async def _keep(self, client: aiosmtplib.SMTP) -> None:
        if client.is_connected:
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


def _message(mail: Mail, sender: Address) -> EmailMessage:
    message = EmailMessage(policy=SMTP_POLICY)
    try:
        message["To"] = Address(addr_spec=mail.address)
    except (MessageError, ValueError, IndexError):
        reason = "address_invalid"
        raise Undeliverable(reason) from None
    message["From"] = sender
    message["Subject"] = mail.subject
    message["Date"] = formatdate()
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message
