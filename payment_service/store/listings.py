"""Payments and refunds as people read them: one by id, or pages, newest first."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Table, Text, Uuid, any_, bindparam, select, tuple_

from chassis.database import Transaction
from chassis.paging import Page
from chassis.statements import Statement
from payment_service.domain.payment import Payment
from payment_service.store.payments import with_calls
from payment_service.tables import payments, refunds

_LISTS = {"payments": (payments, "created_at", "id"), "refunds": (refunds, "requested_at", "refund_id")}
_FIND = Statement(select(payments).where(payments.c.id == bindparam("id", type_=Uuid)))


@cache
def _list(name: str, given: frozenset[str]) -> Statement:
    """The statement for the filters that are given: one for each combination, so that each finds its index."""
    table, created, identity = _LISTS[name]
    at, key = table.c[created], table.c[identity]
    conditions = [_condition(table, at, key, filtered) for filtered in sorted(given)]
    return Statement(select(table).where(*conditions).order_by(at.desc(), key.desc()).limit(bindparam("most")))


def _condition(table: Table, at: Any, key: Any, filtered: str) -> Any:
    time = DateTime(timezone=True)
    match filtered:
        case "created_after":
            return at > bindparam(filtered, type_=time)
        case "created_before":
            return at < bindparam(filtered, type_=time)
        case "seen_at":
            return tuple_(at, key) < tuple_(bindparam("seen_at", type_=time), bindparam("seen", type_=Uuid))
    kind = Text if filtered == "status" else Uuid
    return table.c[filtered] == any_(bindparam(filtered, type_=ARRAY(kind)))


async def _rows(tx: Transaction, name: str, page: Page, **filters: Sequence[Any] | None) -> list[Any]:
    given: dict[str, Any] = {"created_after": page.created_after, "created_before": page.created_before, **filters}
    given["seen_at"], seen = page.seen(datetime, UUID) or (None, None)
    chosen = {filtered: value for filtered, value in given.items() if value}
    return await tx.fetch(_list(name, frozenset(chosen)), most=page.limit + 1, seen=seen, **chosen)


async def find_payment(tx: Transaction, payment_id: UUID, customer_id: UUID | None) -> Payment | None:
    """The payment, unless it is another customer's; None as ``customer_id`` sees all."""
    found = await with_calls(tx, await tx.fetch(_FIND, id=payment_id))
    return next((payment for payment in found if customer_id in {None, payment.customer_id}), None)


async def list_payments(
    tx: Transaction, page: Page, customer_id: UUID | None, order_ids: Sequence[UUID], statuses: Sequence[str]
) -> list[Payment]:
    """Up to one more than the page holds; None as ``customer_id`` lists everybody's."""
    owner = [customer_id] if customer_id else None
    rows = await _rows(tx, "payments", page, customer_id=owner, order_id=order_ids, status=statuses)
    return await with_calls(tx, rows)


async def list_refunds(tx: Transaction, page: Page, payment_id: UUID) -> list[Any]:
    """The refunds of one payment as rows, up to one more than the page holds."""
    return await _rows(tx, "refunds", page, payment_id=[payment_id])
