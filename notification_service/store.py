"""Every SQL statement of notification_service: what decisions load and save, the claim, the lists, and forgetting."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import (
    ARRAY,
    Integer,
    Interval,
    Uuid,
    any_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    update,
)

from chassis.database import Transaction
from chassis.paging import List, Page
from chassis.statements import Bulk, Statement
from chassis.store import Change, Rows, SqlStore
from notification_service.domain.mails import Template
from notification_service.domain.notification import ERASED, Channel, Notification, Status
from notification_service.domain.reader import Erasure, Reader
from notification_service.tables import PENDING, erasures, readers
from notification_service.tables import notifications as n

ERASED_AT_ONCE = 1000

_COLUMNS = tuple(column.name for column in n.c)
_IDS = bindparam("ids", type_=ARRAY(Uuid))
_LIMIT = bindparam("limit", type_=Integer)

_LOCK_READERS = Statement(
    select(readers).where(readers.c.user_id == any_(_IDS)).order_by(readers.c.user_id).with_for_update()
)
_LOCK_NOTIFICATIONS = Statement(select(n).where(n.c.id == any_(_IDS)).order_by(n.c.id).with_for_update())
_ADD_READERS = Bulk.insert(readers)
_SAVE_READERS = Bulk.update(readers, *(column.name for column in readers.c))
_ADD_NOTIFICATIONS = Bulk.insert(n)
_SAVE_NOTIFICATIONS = Bulk.update(
    n, "id", "status", "attempts", "resent", "reason", "address", "queued_at", "due_at", "sent_at", "version"
)
_LIST = List(select(n), {n.c.created_at: datetime, n.c.id: UUID}, n.c.user_id, n.c.order_id, n.c.status)

# What somebody else works on is left for the next look: who waited for it, while that one waits for us, would be ended.
_said = select(n.c.id).where(n.c.user_id == any_(_IDS)).limit(_LIMIT).with_for_update(skip_locked=True).cte("said")
_ERASE = Statement(
    update(n)
    .where(n.c.id == _said.c.id)
    .values(
        recipient=ERASED,
        user_id=None,
        address=None,
        data={},
        status=case((PENDING, Status.SUPPRESSED.value), else_=n.c.status),
        reason=case((PENDING, "user_erased"), else_=n.c.reason),
        version=n.c.version + 1,
    )
    .returning(n.c.id)
)
_BEGIN_ERASURES = Bulk.insert(erasures, conflict="ON CONFLICT DO NOTHING")
# Any: one that fails keeps no other from going on.
_TAKE_ERASURE = Statement(select(erasures).order_by(func.random()).limit(1).with_for_update(skip_locked=True))
_left = select(n.c.id).where(n.c.user_id == erasures.c.user_id).limit(1).scalar_subquery()
_END_ERASURES = Statement(
    delete(erasures).where(erasures.c.user_id == any_(_IDS), _left.is_(None)).returning(erasures.c.user_id)
)

# No join: PostgreSQL might sort all that is due for one.
_not_erased = or_(n.c.user_id.is_(None), n.c.user_id.not_in(select(erasures.c.user_id)))
_due = (
    select(n.c.id)
    .where(PENDING, n.c.due_at <= func.now(), _not_erased)
    .order_by(n.c.due_at)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True)
    .cte("due")
)
_CLAIM = Statement(
    update(n)
    .where(n.c.id == _due.c.id)
    .values(
        status=Status.SENDING.value,
        attempts=n.c.attempts + 1,
        due_at=func.now() + bindparam("lease", type_=Interval),
        version=n.c.version + 1,
    )
    .returning(n)
)

_old = (
    select(n.c.id)
    .where(n.c.address.is_not(None), n.c.sent_at < func.now() - bindparam("kept_for", type_=Interval))
    .limit(_LIMIT)
    .with_for_update(skip_locked=True)
    .cte("old")
)
_FORGET = Statement(update(n).where(n.c.id == _old.c.id).values(address=None).returning(n.c.id))

_OWNER = bindparam("owner", type_=Uuid)
_MINE = or_(_OWNER.is_(None), n.c.user_id == _OWNER)
_FIND = Statement(select(n).where(n.c.id == bindparam("id", type_=Uuid), _MINE))
_FIND_READER = Statement(select(readers).where(readers.c.user_id == bindparam("id", type_=Uuid)))


async def lock_readers(tx: Transaction, keys: Sequence[UUID]) -> list[Reader]:
    return [_reader(row) for row in await tx.fetch(_LOCK_READERS, ids=keys)]


async def save_readers(tx: Transaction, changes: Sequence[Change]) -> None:
    # A plain INSERT: two who meet a new reader at once must not overwrite each other; the loser runs again.
    await tx.run(_ADD_READERS, [_reader_row(c.after) for c in changes if c.before is None])
    await tx.run(_SAVE_READERS, [_reader_row(c.after) for c in changes if c.before is not None])


async def lock_notifications(tx: Transaction, keys: Sequence[UUID]) -> list[Notification]:
    return [_notification(row) for row in await tx.fetch(_LOCK_NOTIFICATIONS, ids=keys)]


async def save_notifications(tx: Transaction, changes: Sequence[Change]) -> None:
    # A plain INSERT: of two who write one mail at once, as its event is told again, the loser runs again and finds it.
    await tx.run(_ADD_NOTIFICATIONS, [_ADD_NOTIFICATIONS.row(c.after) for c in changes if c.before is None])
    await tx.run(_SAVE_NOTIFICATIONS, [_SAVE_NOTIFICATIONS.row(c.after) for c in changes if c.before is not None])


async def erase_readers(tx: Transaction, changes: Sequence[Change]) -> None:
    """Overwrites some of these users' notifications, and notes that more may be left."""
    erased = [change.after.user_id for change in changes]
    await tx.run(_BEGIN_ERASURES, [(user_id,) for user_id in erased])
    await tx.fetch(_ERASE, ids=erased, limit=ERASED_AT_ONCE)


# Erasures come last, so that they overwrite what the same batch has just written; the reader's lock keeps others out.
STORE = SqlStore(
    Rows(Reader, save=save_readers, load=lock_readers),
    Rows(Notification, save=save_notifications, load=lock_notifications),
    Rows(Erasure, save=erase_readers),
)


async def take_erasure(tx: Transaction) -> UUID | None:
    """Who is erased and may not be overwritten everywhere, as long as nobody else takes them."""
    row = await tx.fetch_row(_TAKE_ERASURE)
    return None if row is None else row["user_id"]


async def go_on_erasing(tx: Transaction, user_id: UUID) -> bool:
    """Overwrites some more of this user's notifications, or notes that none is left. False when others work on them."""
    overwritten = await tx.fetch(_ERASE, ids=[user_id], limit=ERASED_AT_ONCE)
    return bool(overwritten) or bool(await tx.fetch(_END_ERASURES, ids=[user_id]))


async def claim_due(tx: Transaction, *, limit: int, lease: timedelta) -> tuple[list[Notification], datetime | None]:
    """The mails to send now, leased to the caller, and the database's clock; whose lease ran out is among them."""
    claimed = [_notification(row) for row in await tx.fetch(_CLAIM, limit=limit, lease=lease)]
    return claimed, claimed[0].due_at - lease if claimed else None


async def forget_addresses(tx: Transaction, *, kept_for: timedelta, limit: int) -> int:
    return len(await tx.fetch(_FORGET, kept_for=kept_for, limit=limit))


async def find_notification(tx: Transaction, notification_id: UUID, owner: UUID | None) -> Notification | None:
    row = await tx.fetch_row(_FIND, id=notification_id, owner=owner)
    return None if row is None else _notification(row)


async def find_reader(tx: Transaction, user_id: UUID) -> Reader | None:
    row = await tx.fetch_row(_FIND_READER, id=user_id)
    return None if row is None else _reader(row)


async def list_notifications(
    tx: Transaction, page: Page, owner: UUID | None, order_ids: Sequence[UUID], statuses: Sequence[Status]
) -> list[Notification]:
    """Newest first, up to one more than the page holds. Without an owner: everybody's, staff mails too."""
    owners = None if owner is None else [owner]
    rows = await _LIST.fetch(tx, page, user_id=owners, order_id=order_ids, status=statuses)
    return [_notification(row) for row in rows]


def _reader_row(reader: Reader) -> tuple[Any, ...]:
    return reader.user_id, reader.locale, sorted(reader.opted_out), reader.erased, reader.version


def _notification(row: Record) -> Notification:
    kinds = {"template": Template(row["template"]), "channel": Channel(row["channel"]), "status": Status(row["status"])}
    return Notification(**dict(row) | kinds)


def _reader(row: Record) -> Reader:
    return Reader(
        user_id=row["user_id"],
        locale=row["locale"],
        opted_out=frozenset(map(Template, row["opted_out"])),
        erased=row["erased"],
        version=row["version"],
    )
