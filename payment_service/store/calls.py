"""Calls to the provider that are due, claimed with a lease: whoever holds one asks, and nobody else meanwhile."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from chassis.database import Transaction
from payment_service.domain.due import DueCall

# So many of the oldest are seen where some have to wait: what is put off hides nobody's calls behind it. It waits a
# quarter longer than it has waited, so that a long queue costs little, and 30 s at most.
SEEN = 1_000
_KIND = """
    due_{table} AS (
        SELECT t.key, t.due_at, t.claimed, p.customer_id, p.updated_at, p.customer_id = ANY($3::uuid[]) AS waits
        FROM payment_service.{table} t JOIN payment_service.payments p USING (order_id)
        WHERE t.status IN ({open}) AND t.due_at <= now()
        ORDER BY t.due_at LIMIT $4 FOR UPDATE OF t SKIP LOCKED
    ), waiting_{table} AS (
        UPDATE payment_service.{table} t SET due_at = now() + least((now() - d.updated_at) / 4, interval '30 seconds')
        FROM due_{table} d WHERE t.key = d.key AND d.waits
    ), claimed_{table} AS (
        UPDATE payment_service.{table} t SET due_at = now() + $2, claimed = true, status = {status}
        FROM (SELECT * FROM due_{table} WHERE NOT waits ORDER BY due_at LIMIT $1) d WHERE t.key = d.key
        RETURNING t.key, t.order_id, t.amount, t.currency, t.tries, t.correlation_id, t.traceparent, {own}, d.claimed,
            d.customer_id
    )
"""
_CHARGES = _KIND.format(
    table="payment_attempts", open="'processing', 'unknown'", status="t.status", own="t.method, NULL AS charge_key"
)
_REFUNDS = _KIND.format(
    table="refunds",
    open="'requested', 'sent', 'unknown'",
    status="CASE t.status WHEN 'requested' THEN 'sent' ELSE t.status END",
    own="NULL AS method, t.charge_key",
)
_CLAIM = f"""
    WITH {_CHARGES}, {_REFUNDS} SELECT * FROM claimed_payment_attempts UNION ALL SELECT * FROM claimed_refunds
"""  # noqa: S608 -- all of it is written above

_GIVE_BACK = """
    WITH attempts AS (
        UPDATE payment_service.payment_attempts SET due_at = now()
        WHERE key = ANY($1::text[]) AND status IN ('processing', 'unknown')
    )
    UPDATE payment_service.refunds SET due_at = now() WHERE key = ANY($1::text[]) AND status IN ('sent', 'unknown')
"""


async def claim_calls(tx: Transaction, most: int, lease: timedelta, *, closed_to: Sequence[UUID] = ()) -> list[DueCall]:
    """The oldest due calls, nobody else's until the lease ends: so many of each kind. Those of some customers wait."""
    rows: list[Any] = await tx.sql(_CLAIM, most, lease, closed_to, SEEN if closed_to else most)
    return [DueCall(*row) for row in rows]


async def give_back_calls(tx: Transaction, keys: Sequence[str]) -> None:
    """Ends the leases of calls that nobody answered: they may have been made, and stay claimed before."""
    await tx.sql(_GIVE_BACK, keys)
