"""Payments and refunds as people read them: one by id, or pages, newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam, select

from chassis.database import Transaction
from chassis.paging import List, Page
from chassis.statements import Statement
from payment_service.domain.payment import Payment
from payment_service.store.payments import with_calls
from payment_service.tables import payments, refunds

_PAYMENTS = List(
    select(payments),
    {payments.c.created_at: datetime, payments.c.id: UUID},
    payments.c.customer_id,
    payments.c.order_id,
    payments.c.status,
)
_REFUNDS = List(select(refunds), {refunds.c.requested_at: datetime, refunds.c.refund_id: UUID}, refunds.c.payment_id)
_FIND = Statement(select(payments).where(payments.c.id == bindparam("id", type_=Uuid)))


async def find_payment(tx: Transaction, payment_id: UUID, customer_id: UUID | None) -> Payment | None:
    """The payment, unless it is another customer's; None as ``customer_id`` sees all."""
    found = await with_calls(tx, await tx.fetch(_FIND, id=payment_id))
    return next((payment for payment in found if customer_id in {None, payment.customer_id}), None)


async def list_payments(
    tx: Transaction, page: Page, customer_id: UUID | None, order_ids: Sequence[UUID], statuses: Sequence[str]
) -> list[Payment]:
    """Up to one more than the page holds; None as ``customer_id`` lists everybody's."""
    owner = [customer_id] if customer_id else None
    rows = await _PAYMENTS.fetch(tx, page, customer_id=owner, order_id=order_ids, status=statuses)
    return await with_calls(tx, rows)


async def list_refunds(tx: Transaction, page: Page, payment_id: UUID) -> list[Any]:
    """The refunds of one payment as rows, up to one more than the page holds."""
    return await _REFUNDS.fetch(tx, page, payment_id=[payment_id])
