"""The loop that sends mails: claim with a lease and commit, send outside every transaction, record the outcome.

A mail is claimed by the step that writes it, and handed over; what others left, and what is due later, is looked for.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.utils import parseaddr
from functools import partial
from random import random
from traceback import extract_tb
from typing import Any

from loguru import logger

from chassis.app import Parts
from chassis.context import new_traceparent, start
from chassis.handover import Handover
from chassis.ids import typeid
from chassis.items import Unavailable
from chassis.logging import Line, info_each
from chassis.tasks import running
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

# So many mails are out at once: more than that a mail server may not take within a lease.
AT_ONCE = {"smtp": 50, "log": 200, "null": 200}
LEASE = timedelta(seconds=30)
# Seconds for sending, then for recording: inside the lease, so that nobody else sends what this step is still sending.
STEP = 14.0
RECORD = 12.0
PAUSE = 0.2
LANDING = 2.0
_MESSAGES = {Status.SENT: "mail sent", Status.WAITING: "mail waits: {}", Status.DEAD: "mail given up: {}"}


class Desk:
    """What sending needs beside the database: the addresses, the mailer, who the mails are from, and what is out."""

    def __init__(self, settings: Settings, addresses: Addresses, begin: Callable[[Sequence[Any], float], None]) -> None:
        self.at_once = AT_ONCE[settings.mail_channel]
        self.handover = Handover(LEASE, lambda: self.at_once - self.out, begin)
        self.flights: set[asyncio.Task[None]] = set()
        self.out = 0
        self.landed = False
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
    """At the end mails that were handed over have two seconds; what is cut then is sent when its lease is over."""
    desk = Desk(parts.settings, Addresses(parts.peers["auth_service"]), partial(_begin, parts))
    try:
        yield desk
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(LANDING):
                while desk.flights:
                    await asyncio.wait(desk.flights)
        desk.landed = True
        _cancel(desk.flights)
        await asyncio.gather(*desk.flights, return_exceptions=True)
        await desk.mailer.close()


def _begin(parts: Parts, claimed: Sequence[Notification], since: float) -> None:
    """Sends mails that were handed over, each as old as the step that wrote it."""
    desk: Desk = parts.own
    if desk.landed:
        return
    with logger.contextualize(service=parts.service.name):
        flight = asyncio.create_task(_fly(parts, [*claimed], since))
    desk.flights.add(flight)
    desk.out += len(claimed)
    flight.add_done_callback(partial(_landed, desk, len(claimed)))


def _landed(desk: Desk, many: int, flight: asyncio.Task[None]) -> None:
    desk.flights.discard(flight)
    desk.out -= many


async def _fly(parts: Parts, claimed: Sequence[Notification], since: float) -> None:
    try:
        await _send(parts, claimed, claimed[0].queued_at, since + STEP)
    except Exception as failure:  # noqa: BLE001 -- the leases run out, and whoever takes the mails sends them
        kind = type(failure).__name__  # no more of it: there may be an address in its text
        logger.error("of {} mails some are given up until their lease ends: {}", len(claimed), kind)


async def step(parts: Parts) -> bool:
    """Sends what is due, as long as not too many mails are out. True when there may be more at once."""
    desk: Desk = parts.own
    room = desk.handover.room
    if room <= 0:
        return False
    with desk.handover.reserved(room):
        async with parts.database.transaction() as tx:
            claimed, now = await store.claim_due(tx, limit=room, lease=LEASE)
        if now is None:
            await desk.mailer.rest()
            return False
        await _send(parts, claimed, now, asyncio.get_running_loop().time() + STEP)
    return len(claimed) == room


async def _send(parts: Parts, claimed: Sequence[Notification], now: datetime, ends_at: float) -> None:
    """Sends the mails side by side. What becomes known together is recorded together, while others are being sent."""
    loop = asyncio.get_running_loop()
    attempts = {asyncio.create_task(_attempt(parts.own, one, now)): one for one in claimed}
    cut = loop.call_at(ends_at, _cancel, attempts)
    waiting, records = set(attempts), list[asyncio.Task[None]]()
    try:
        async with running(*attempts):
            while waiting:
                known, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                outcomes = [_outcome(parts.own, one, task) for task, one in attempts.items() if task in known]
                records.append(asyncio.create_task(_record(parts, outcomes, ends_at + RECORD)))
        await asyncio.gather(*records)
    finally:
        cut.cancel()
        _cancel(records)


def _cancel(tasks: Iterable[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()


def _outcome(desk: Desk, notification: Notification, attempt: asyncio.Task[Record]) -> Record:
    return _setback(desk, notification, "timeout") if attempt.cancelled() else attempt.result()


async def _record(parts: Parts, outcomes: Sequence[Record], until: float) -> None:
    """Records what cannot be undone any more: a database that is away for a moment must not make a second mail.

    What fails alone is logged by the pipeline; its mail is sent again when its lease ends.
    """
    context = start(None, new_traceparent())
    while True:
        replies = await parts.pipeline.submit_each([(outcome, context) for outcome in outcomes], actor="system")
        _tell(parts.service.name, [reply for reply in replies if isinstance(reply, Notification)])
        outcomes = [o for o, reply in zip(outcomes, replies, strict=True) if isinstance(reply, Unavailable)]
        if not outcomes:
            return
        if asyncio.get_running_loop().time() > until:
            raise Unavailable
        await asyncio.sleep(PAUSE)


async def _attempt(desk: Desk, notification: Notification, now: datetime) -> Record:
    max_age = desk.settings.max_age(notification.template)
    if is_stale(notification, max_age, now):
        return _failure(notification, "too_old")
    try:
        address = await desk.deliver(notification)
    except Undeliverable as failure:
        return _failure(notification, str(failure))
    except Exception as failure:  # noqa: BLE001 -- whatever it is, it is this mail's alone
        return _setback(desk, notification, _reason(failure, notification))
    return RecordSent(notification_id=notification.id, attempt=notification.attempts, address=address)


def _failure(notification: Notification, reason: str) -> RecordFailure:
    return RecordFailure(notification_id=notification.id, attempt=notification.attempts, reason=reason)


def _setback(desk: Desk, notification: Notification, reason: str) -> RecordSetback:
    return RecordSetback(
        notification_id=notification.id,
        attempt=notification.attempts,
        reason=reason,
        jitter=random(),  # noqa: S311 -- it spreads the next tries, it is no secret
        max_age=desk.settings.max_age(notification.template),
    )


def _reason(failure: Exception, notification: Notification) -> str:
    if isinstance(failure, Undelivered):
        return str(failure)
    if isinstance(failure, TimeoutError):
        return "timeout"
    # Neither its text nor its variables: there may be an address in them.
    kind = type(failure).__name__
    logger.error("mail {} failed with {} at {}", notification.id, kind, extract_tb(failure.__traceback__)[-1])
    return kind


def _tell(service: str, recorded: Iterable[Notification]) -> None:
    good = []
    for one in recorded:
        if one.status is Status.DEAD:
            message, told = _line(one)
            logger.bind(**told).warning(message)
        else:
            good.append(one)
    if good:
        info_each(service, partial(map, _line, good))


def _line(notification: Notification) -> Line:
    told = {"notification_id": str(notification.id), "template": str(notification.template)}
    if notification.order_id is not None:
        told["order_id"] = typeid("ord", notification.order_id)
    return _MESSAGES[notification.status].format(notification.reason), told
