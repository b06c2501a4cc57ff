"""The tables of payment_service. What money depends on is a constraint here, not only code."""

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)

from chassis.migrations import add_chassis_tables
from contracts.types import RefundReason
from payment_service.domain.ledger import EntryKind
from payment_service.domain.notice import NoticeStatus
from payment_service.domain.payment import AttemptStatus, Outcome, PaymentStatus, RefundStatus
from payment_service.domain.resolution import Resolution

metadata = MetaData(schema="payment_service")


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


def _time(name: str, *, optional: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=optional)


def _calls() -> tuple[Column[object], ...]:
    """What is kept of a call to the provider; ``claimed`` is the charging loop's own."""
    return (
        Column("key", Text, nullable=False, unique=True),
        Column("status", Text, nullable=False),
        _time("due_at"),
        Column("claimed", Boolean, nullable=False, server_default=text("false")),
        Column("tries", Integer, nullable=False),
        _time("unknown_since", optional=True),
        _time("unresolved_at", optional=True),
        Column("reference", Text),
        Column("code", Text),
        _time("settled_at", optional=True),
        Column("correlation_id", Text, nullable=False),
        Column("traceparent", Text),
    )


payments = Table(
    "payments",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("id", Uuid, nullable=False, unique=True),
    Column("customer_id", Uuid),
    Column("status", Text, nullable=False),
    Column("amount", BigInteger),
    Column("currency", Text),
    Column("cancel_flagged", Boolean, nullable=False),
    Column("captured", BigInteger, nullable=False),
    Column("refunded", BigInteger, nullable=False),
    Column("refund_reserved", BigInteger, nullable=False),
    Column("reversal_id", Uuid),
    Column("reversal_reason", Text, nullable=False),
    Column("version", Integer, nullable=False),
    _time("created_at"),
    _time("updated_at"),
    _one_of("status", PaymentStatus),
    _one_of("reversal_reason", RefundReason),
    CheckConstraint("(amount IS NULL) = (currency IS NULL)", name="amount_with_currency"),
    CheckConstraint("amount IS NOT NULL OR status = 'cancelled'", name="only_tombstones_without_amount"),
    CheckConstraint("captured IN (0, amount)", name="captured_whole_or_not"),
    CheckConstraint("refunded >= 0 AND refund_reserved >= 0", name="refunds_not_negative"),
    CheckConstraint("refund_reserved + refunded <= captured", name="refunds_within_captured"),
    Index("payments_by_age", "created_at", "id"),
    Index("payments_of_customer", "customer_id", "created_at", "id"),
    postgresql_with={"fillfactor": 50},
)

# No foreign key: an attempt is only ever saved with its payment, and the check would cost more than the row.
payment_attempts = Table(
    "payment_attempts",
    metadata,
    Column("payment_id", Uuid, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("order_id", Uuid, nullable=False),
    Column("method", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    *_calls(),
    _one_of("status", AttemptStatus),
    CheckConstraint("attempt >= 1", name="attempts_from_one"),
    Index(
        "one_live_attempt",
        "payment_id",
        unique=True,
        postgresql_where=text("status IN ('processing', 'unknown', 'succeeded')"),
    ),
    Index("attempts_due", "due_at", postgresql_where=text("status IN ('processing', 'unknown')")),
    postgresql_with={"fillfactor": 50},
)

refunds = Table(
    "refunds",
    metadata,
    Column("payment_id", Uuid, ForeignKey(payments.c.id), primary_key=True),
    Column("refund_id", Uuid, primary_key=True),
    Column("order_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    Column("charge_key", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reverses", Boolean, nullable=False),
    *_calls(),
    _time("requested_at"),
    _one_of("status", RefundStatus),
    _one_of("reason", RefundReason),
    CheckConstraint("amount > 0 OR status = 'failed'", name="amount_positive"),
    Index("refunds_due", "due_at", postgresql_where=text("status IN ('requested', 'sent', 'unknown')")),
    postgresql_with={"fillfactor": 70},
)

ledger = Table(
    "ledger",
    metadata,
    Column("key", Text, primary_key=True),
    Column("payment_id", Uuid, nullable=False),
    Column("order_id", Uuid, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reference", Text),
    _time("entered_at"),
    _one_of("kind", EntryKind),
    CheckConstraint("amount >= 0", name="amount_not_negative"),
    info={"append_only": True},
)

webhook_events = Table(
    "webhook_events",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("order_id", Uuid, nullable=False, index=True),
    Column("call_key", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reference", Text),
    Column("code", Text),
    Column("status", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    _time("received_at"),
    _time("due_at"),
    _time("applied_at", optional=True),
    Column("amount", BigInteger),
    Column("currency", Text),
    _one_of("status", NoticeStatus),
    _one_of("outcome", Outcome),
    Index("webhook_events_due", "due_at", postgresql_where=text("status IN ('received', 'parked')")),
)

resolutions = Table(
    "resolutions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("payment_id", Uuid, ForeignKey(payments.c.id), nullable=False, index=True),
    Column("call_key", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("books", Text, nullable=False),
    _time("resolved_at"),
    _one_of("outcome", Resolution),
)

add_chassis_tables(metadata)
