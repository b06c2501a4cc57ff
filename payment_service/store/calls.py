"""Calls to the provider that are due, claimed with a lease: whoever holds one asks, and nobody else meanwhile."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from chassis.database import Transaction
from payment_service.domain.due import DueCall

_COLUMNS = "t.key, t.order_id, t.amount, t.currency, t.tries, t.correlation_id, t.traceparent"
_CLAIM = f"""
    WITH due_attempts AS (
        SELECT payment_id, attempt, claimed FROM payment_service.payment_attempts
        WHERE status IN ('processing', 'unknown') AND due_at <= now()
        ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ), due_refunds AS (
        SELECT payment_id, refund_id, claimed FROM payment_service.refunds
        WHERE status IN ('requested', 'sent', 'unknown') AND due_at <= now()
        ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ), attempts AS (
        UPDATE payment_service.payment_attempts t SET due_at = now() + $2, claimed = true FROM due_attempts d
        WHERE t.payment_id = d.payment_id AND t.attempt = d.attempt
        RETURNING {_COLUMNS}, t.method, NULL AS charge_key, d.claimed
    ), refunds AS (
        UPDATE payment_service.refunds t SET due_at = now() + $2, claimed = true,
            status = CASE t.status WHEN 'requested' THEN 'sent' ELSE t.status END
        FROM due_refunds d WHERE t.payment_id = d.payment_id AND t.refund_id = d.refund_id
        RETURNING {_COLUMNS}, NULL AS method, t.charge_key, d.claimed
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


async def claim_calls(tx: Transaction, most: int, lease: timedelta) -> list[DueCall]:
    """Due calls, nobody else's until the lease ends."""
    rows: list[Any] = await tx.sql(_CLAIM, most, lease)
    return [DueCall(*row) for row in rows]


async def give_back_calls(tx: Transaction, keys: Sequence[str]) -> None:
    """Ends the leases of calls that nobody answered: they may have been made, and stay claimed before."""
    await tx.sql(_GIVE_BACK, keys)
