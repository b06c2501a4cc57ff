"""The loop that sends mails: claim with a lease and commit, send outside every transaction, record the outcome."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.utils import parseaddr
from random import random
from traceback import extract_tb
from typing import Any

from loguru import logger

from chassis.app import Parts
from chassis.ids import typeid
from chassis.pipeline import Unavailable
from notification_service import store
from notification_service.addresses import Addresses, Contact
from notification_service.channels import LogMailer, Mailer, NullMailer, Undeliverable, Undelivered
from notification_service.domain.notification import (
    Notification,
    Record,
    RecordFailure,
    RecordSent,
    RecordSetback,
    Status,
    is_stale,
)
from notification_service.rendering import render
from notification_service.settings import Settings
from notification_service.smtp import SmtpMailer

BATCH = 50
LEASE = timedelta(seconds=30)
# Seconds for sending, then for recording: inside the lease, so that nobody else sends what this step is still sending.
STEP = 14.0
RECORD = 12.0
PAUSE = 0.2


class Desk:
    """What sending needs beside the database: the addresses, the mailer, and who the mails are from."""

    def __init__(self, settings: Settings, addresses: Addresses) -> None:
        shop, address = parseaddr(settings.mail_from)
        self.sender = Address(display_name=shop, addr_spec=address)
        self.settings = settings
        self.addresses = addresses
        self.mailer = _mailer(settings, self.sender)

    async def contact(self, notification: Notification) -> Contact:
        if notification.user_id is None:
            return Contact(self.settings.staff_mailbox)
        return await self.addresses.find(notification.user_id)

    async def deliver(self, notification: Notification) -> str:
        """Sends the mail; gives the address that it went to.

        Raises:
            Undelivered: when it may work later.
            Undeliverable: when it never will.
        """
        contact = await self.contact(notification)
        shop, host = self.sender.display_name, self.sender.domain
        await self.mailer.send(render(notification, address=contact.address, name=contact.name, shop=shop, domain=host))
        return contact.address


def _mailer(settings: Settings, sender: Address) -> Mailer:
    if settings.mail_channel == "smtp":
        return SmtpMailer(settings.smtp_url.get_secret_value(), sender, connections=settings.smtp_connections)
    return LogMailer() if settings.mail_channel == "log" else NullMailer()


@asynccontextmanager
async def open_desk(parts: Parts) -> AsyncIterator[Desk]:
    desk = Desk(parts.settings, Addresses(parts.peers["auth_service"]))
    try:
        yield desk
    finally:
        await desk.mailer.close()


async def step(parts: Parts) -> bool:
    """Sends what is due. True when there may be more at once."""
    async with parts.database.transaction() as tx:
        claimed, now = await store.claim_due(tx, limit=BATCH, lease=LEASE)
    if now is None:
        await parts.own.mailer.rest()
        return False
    ends_at = asyncio.get_running_loop().time() + STEP
    results = await asyncio.gather(*(_send(parts, one, now, ends_at) for one in claimed), return_exceptions=True)
    for failure in results:
        if isinstance(failure, BaseException):
            raise failure
    return len(claimed) == BATCH


async def _send(parts: Parts, notification: Notification, now: datetime, ends_at: float) -> None:
    outcome = await _attempt(parts.own, notification, now, ends_at)
    recorded = await _record(parts, outcome, ends_at + RECORD)
    if recorded is not None:
        _tell(recorded)


async def _record(parts: Parts, outcome: Record, until: float) -> Notification | None:
    """Records what cannot be undone any more: a database that is away for a moment must not make a second mail."""
    while True:
        try:
            recorded: Notification | None = await asyncio.shield(parts.pipeline.submit(outcome, actor="system"))
        except Unavailable:
            if asyncio.get_running_loop().time() > until:
                raise
            await asyncio.sleep(PAUSE)
        else:
            return recorded


async def _attempt(desk: Desk, notification: Notification, now: datetime, ends_at: float) -> Record:
    attempt: dict[str, Any] = {"notification_id": notification.id, "attempt": notification.attempts}
    max_age = desk.settings.max_age(notification.template)
    if is_stale(notification, max_age, now):
        return RecordFailure(**attempt, reason="too_old")
    try:
        async with asyncio.timeout_at(ends_at):
            address = await desk.deliver(notification)
    except Undeliverable as failure:
        return RecordFailure(**attempt, reason=str(failure))
    except Exception as failure:  # noqa: BLE001 -- whatever it is, it is this mail's alone
        reason = _reason(failure, notification)
        jitter = random()  # noqa: S311 -- it spreads the next tries, it is no secret
        return RecordSetback(**attempt, reason=reason, jitter=jitter, max_age=max_age)
    return RecordSent(**attempt, address=address)


def _reason(failure: Exception, notification: Notification) -> str:
    if isinstance(failure, Undelivered):
        return str(failure)
    if isinstance(failure, TimeoutError):
        return "timeout"
    # Neither its text nor its variables: there may be an address in them.
    kind = type(failure).__name__
    logger.error("mail {} failed with {} at {}", notification.id, kind, extract_tb(failure.__traceback__)[-1])
    return kind


def _tell(notification: Notification) -> None:
    order_id = {} if notification.order_id is None else {"order_id": typeid("ord", notification.order_id)}
    said = logger.bind(notification_id=str(notification.id), template=str(notification.template), **order_id)
    if notification.status is Status.SENT:
        said.info("mail sent")
    elif notification.status is Status.WAITING:
        said.info("mail waits: {}", notification.reason)
    else:
        said.warning("mail given up: {}", notification.reason)
