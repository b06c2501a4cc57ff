"""The simulated provider's books: what it charged, returned and has to tell, committed apart from the shop."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Text, any_, bindparam, func, select

from chassis.database import Database, Transaction
from chassis.statements import Bulk, Statement
from contracts.types import Code
from payment_service.cards import card
from payment_service.simulator_tables import charges, notices, refunds

_KEYS = bindparam("keys", type_=ARRAY(Text))
_FIND_CHARGES = Statement(
    select(charges, (charges.c.visible_at <= func.now()).label("visible")).where(charges.c.key == any_(_KEYS))
)
_LOCK_CHARGES = Statement(select(charges).where(charges.c.key == any_(_KEYS)).order_by(charges.c.key).with_for_update())
_FIND_REFUNDS = Statement(
    select(refunds, charges.c.currency)
    .join(charges, charges.c.key == refunds.c.charge_key)
    .where(refunds.c.key == any_(_KEYS))
)
_KNOWN = "ON CONFLICT (key) DO NOTHING"
_CHARGE = ("key", "order_id", "token", "amount", "currency", "status", "code", "reference")
_ADD_CHARGES = Bulk.insert(charges, *_CHARGE, conflict=_KNOWN)
_ADD_HIDDEN = "UPDATE provider.charges SET visible_at = now() + $2 WHERE key = ANY($1)"
_ADD_REFUNDS = Bulk.insert(
    refunds, "key", "charge_key", "order_id", "amount", "status", "code", "reference", conflict=_KNOWN
)
_SAVE_CHARGES = Bulk.update(charges, "key", "refunded")
_ADD_NOTICES = Bulk.insert(notices, "event_id", "body", "times", conflict="ON CONFLICT (event_id) DO NOTHING")
_COUNT = """
    INSERT INTO provider.calls AS c (key) SELECT unnest($1::text[])
    ON CONFLICT (key) DO UPDATE SET count = c.count + 1 RETURNING key, count
"""
_CLAIM_NOTICES = """
    UPDATE provider.notices SET due_at = now() + interval '10 seconds' WHERE event_id IN (
        SELECT event_id FROM provider.notices WHERE told < times AND due_at <= now()
        ORDER BY due_at LIMIT 50 FOR UPDATE SKIP LOCKED)
    RETURNING event_id, body, times - told AS left
"""
_TOLD = "UPDATE provider.notices SET told = told + 1 WHERE event_id = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What is to be charged under a key."""

    key: str
    order_id: UUID
    token: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """What is to be returned of a charge under a key."""

    key: str
    charge_key: str
    amount: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What the provider says: captured, declined, succeeded, refused; in_progress or error where it says nothing.

    With it goes the money that the books hold under the key.
    """

    status: str
    code: str | None = None
    reference: Code | None = None
    amount: int | None = None
    currency: str | None = None


REUSED = Reply("error", "idempotency_key_reused")


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:24]


class Books:
    """Reads and writes the books. ``tells_all`` notes everything to be told, else only what a card asks for."""

    def __init__(self, database: Database, *, tells_all: bool) -> None:
        self._database = database
        self._tells_all = tells_all

    async def charge(self, asked: Sequence[Charge], hidden_for: timedelta | None = None) -> dict[str, Reply]:
        """Books what is new under its key and says what the books hold; what is hidden is not found at first.

        A key that was used for something else is an error, which changes nothing and of which nothing is told.
        """
        keys = [one.key for one in asked]
        async with self._database.transaction() as tx:
            await tx.run(_ADD_CHARGES, [_charge_row(one) for one in sorted(asked, key=lambda one: one.key)])
            if hidden_for:
                await tx.sql(_ADD_HIDDEN, keys, hidden_for)
            replies = await self._charged(tx, asked)
            told = [(one, replies[one.key], card(one.token).told) for one in asked]
            await self._tell(tx, [each for each in told if each[1] is not REUSED])
        return replies

    async def charged(self, asked: Sequence[Charge]) -> dict[str, Reply]:
        """What the books hold of these charges."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._charged(tx, asked)

    async def find(self, keys: Sequence[str]) -> dict[str, Reply]:
        """What the books hold under these keys."""
        async with self._database.transaction(read_only=True) as tx:
            return {row["key"]: _charge_reply(row) for row in await tx.fetch(_FIND_CHARGES, keys=list(keys))}

    async def _charged(self, tx: Transaction, asked: Sequence[Charge]) -> dict[str, Reply]:
        known = {one.key: one for one in asked}
        rows = await tx.fetch(_FIND_CHARGES, keys=list(known))
        return {row["key"]: _charge_reply(row) if _is_of(row, known[row["key"]]) else REUSED for row in rows}

    async def refund(self, asked: Sequence[Return]) -> dict[str, Reply]:
        """Returns what can be returned; the charges' rows are locked, so that two refunds cannot overdraw one."""
        async with self._database.transaction() as tx:
            locked = await tx.fetch(_LOCK_CHARGES, keys=sorted({one.charge_key for one in asked}))
            charged = {row["key"]: dict(row) for row in locked}
            known = await self._returned(tx, asked)
            fresh = {one.key: one for one in asked if one.key not in known and one.charge_key in charged}
            decided = {key: _decide(one, charged[one.charge_key]) for key, one in fresh.items()}
            await tx.run(_ADD_REFUNDS, [_refund_row(one, charged, decided[one.key]) for one in fresh.values()])
            await tx.run(_SAVE_CHARGES, [(key, row["refunded"]) for key, row in charged.items()])
            replies = {one.key: Reply("refused", "charge_unknown") for one in asked} | known | decided
            told = [(one, replies[key], charged[one.charge_key]["order_id"]) for key, one in fresh.items()]
            await self._tell(tx, [(_about(one, order_id), reply, 0) for one, reply, order_id in told])
        return replies

    async def find_refunds(self, keys: Sequence[str]) -> dict[str, Reply]:
        """What the books hold under these keys."""
        async with self._database.transaction(read_only=True) as tx:
            return {row["key"]: _reply(row) for row in await tx.fetch(_FIND_REFUNDS, keys=list(keys))}

    async def _returned(self, tx: Transaction, asked: Sequence[Return]) -> dict[str, Reply]:
        known = {one.key: one for one in asked}
        rows = await tx.fetch(_FIND_REFUNDS, keys=list(known))
        return {row["key"]: _reply(row) if _is_of(row, known[row["key"]]) else REUSED for row in rows}

    async def count(self, keys: Sequence[str]) -> dict[str, int]:
        """Counts one more call under each key; says the how manieth it is."""
        async with self._database.transaction() as tx:
            return {row["key"]: row["count"] for row in await tx.sql(_COUNT, sorted(keys))}

    async def _tell(self, tx: Transaction, happened: Sequence[tuple[Any, Reply, int]]) -> None:
        rows = [
            (f"evt_{_digest(one.key, reply.status)}", _body(one, reply), times or 1)
            for one, reply, times in happened
            if times or self._tells_all
        ]
        await tx.run(_ADD_NOTICES, rows)

    async def claim_notices(self) -> list[Any]:
        """Up to 50 notices that are due, with how often each has still to be told; nobody else's for ten seconds."""
        async with self._database.transaction() as tx:
            return await tx.sql(_CLAIM_NOTICES)

    async def told(self, event_id: str) -> None:
        """The notice was taken."""
        async with self._database.transaction() as tx:
            await tx.sql(_TOLD, event_id)


def _charge_reply(row: Any) -> Reply:
    return _reply(row) if row["visible"] else Reply("in_progress")


def _reply(row: Any) -> Reply:
    return Reply(row["status"], row["code"], row["reference"], row["amount"], row["currency"])


def _is_of(row: Any, one: Charge | Return) -> bool:
    """Whether the row was booked for just this: the rest of it is what the books made of it."""
    return all(row[name] == getattr(one, name) for name in one.__slots__)


def _charge_row(one: Charge) -> tuple[Any, ...]:
    code = card(one.token).code
    status = "declined" if code else "captured"
    return (one.key, one.order_id, one.token, one.amount, one.currency, status, code, f"ch_{_digest(one.key)}")


def _decide(one: Return, charged: dict[str, Any]) -> Reply:
    about = (f"re_{_digest(one.key)}", one.amount, charged["currency"])
    if not card(charged["token"]).refundable:
        return Reply("refused", "refund_refused", *about)
    if charged["status"] != "captured" or charged["refunded"] + one.amount > charged["amount"]:
        return Reply("refused", "refund_exceeds_charge", *about)
    charged["refunded"] += one.amount
    return Reply("succeeded", None, *about)


def _refund_row(one: Return, charged: dict[str, dict[str, Any]], reply: Reply) -> tuple[Any, ...]:
    order_id = charged[one.charge_key]["order_id"]
    return (one.key, one.charge_key, order_id, one.amount, reply.status, reply.code, reply.reference)


@dataclass(frozen=True, slots=True)
class _Returned:
    """What a notice says of a refund."""

    key: str
    order_id: UUID


def _about(one: Return, order_id: UUID) -> _Returned:
    return _Returned(one.key, order_id)


def _body(one: Any, reply: Reply) -> dict[str, Any]:
    kind = "refund" if isinstance(one, _Returned) else "charge"
    data = {"key": one.key, "order_id": str(one.order_id), "reference": reply.reference, "code": reply.code}
    data |= {"amount": reply.amount, "currency": reply.currency}
    return {"type": f"{kind}.{reply.status}", "data": data}
