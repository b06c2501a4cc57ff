"""Calls to the provider that are due, claimed with a lease: whoever holds one asks, and nobody else meanwhile."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from chassis.database import Transaction
from payment_service.domain.due import DueCall

_COLUMNS = "t.key, t.order_id, t.amount, t.currency, t.tries, t.correlation_id, t.traceparent"
_CLAIM = f"""
    WITH due_attempts AS (
        SELECT t.payment_id, t.attempt, t.claimed, p.customer_id
        FROM payment_service.payment_attempts t JOIN payment_service.payments p USING (order_id)
        WHERE t.status IN ('processing', 'unknown') AND t.due_at <= now() AND p.customer_id <> ALL($3::uuid[])
        ORDER BY t.due_at LIMIT $1 FOR UPDATE OF t SKIP LOCKED
    ), due_refunds AS (
        SELECT t.payment_id, t.refund_id, t.claimed, p.customer_id
        FROM payment_service.refunds t JOIN payment_service.payments p USING (order_id)
        WHERE t.status IN ('requested', 'sent', 'unknown') AND t.due_at <= now() AND p.customer_id <> ALL($3::uuid[])
        ORDER BY t.due_at LIMIT $1 FOR UPDATE OF t SKIP LOCKED
    ), attempts AS (
        UPDATE payment_service.payment_attempts t SET due_at = now() + $2, claimed = true FROM due_attempts d
        WHERE t.payment_id = d.payment_id AND t.attempt = d.attempt
        RETURNING {_COLUMNS}, t.method, NULL AS charge_key, d.claimed, d.customer_id
    ), refunds AS (
        UPDATE payment_service.refunds t SET due_at = now() + $2, claimed = true,
            status = CASE t.status WHEN 'requested' THEN 'sent' ELSE t.status END
        FROM due_refunds d WHERE t.payment_id = d.payment_id AND t.refund_id = d.refund_id
        RETURNING {_COLUMNS}, NULL AS method, t.charge_key, d.claimed, d.customer_id
    )
    SELECT * FROM attempts UNION ALL SELECT * FROM refunds
"""  # noqa: S608 -- the columns are written above

_GIVE_BACK = """
    WITH attempts AS (
        UPDATE payment_service.payment_attempts SET due_at = now()
        WHERE key = ANY($1::text[]) AND status IN ('processing', 'unknown')
    )
    UPDATE payment_service.refunds SET due_at = now() WHERE key = ANY($1::text[]) AND status IN ('sent', 'unknown')
"""


async def claim_calls(tx: Transaction, most: int, lease: timedelta, *, but_of: Sequence[UUID] = ()) -> list[DueCall]:
    """The oldest due calls, but of these customers none: nobody else's until the lease ends. So many of each kind."""
    rows: list[Any] = await tx.sql(_CLAIM, most, lease, list(but_of))
    return [DueCall(*row) for row in rows]


async def give_back_calls(tx: Transaction, keys: Sequence[str]) -> None:
    """Ends the leases of calls that nobody answered: they may have been made, and stay claimed before."""
    await tx.sql(_GIVE_BACK, keys)
