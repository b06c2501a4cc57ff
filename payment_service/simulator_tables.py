"""The simulated provider's own books, in a schema that payment_service's role cannot read."""

from sqlalchemy import (
    BigInteger,
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
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(schema="provider")


def _time(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


charges = Table(
    "charges",
    metadata,
    Column("key", Text, primary_key=True),
    Column("order_id", Uuid, nullable=False, index=True),
    Column("token", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("code", Text),
    Column("reference", Text, nullable=False),
    Column("refunded", BigInteger, nullable=False, server_default=text("0")),
    _time("visible_at"),
    _time("created_at"),
    CheckConstraint("status IN ('captured', 'declined')", name="status_known"),
    CheckConstraint("refunded BETWEEN 0 AND amount", name="refunded_within_amount"),
    CheckConstraint("refunded = 0 OR status = 'captured'", name="refunded_only_captured"),
)

refunds = Table(
    "refunds",
    metadata,
    Column("key", Text, primary_key=True),
    Column("charge_key", Text, ForeignKey(charges.c.key), nullable=False),
    Column("order_id", Uuid, nullable=False, index=True),
    Column("amount", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("code", Text),
    Column("reference", Text, nullable=False),
    _time("created_at"),
    CheckConstraint("status IN ('succeeded', 'refused')", name="status_known"),
    CheckConstraint("amount > 0", name="amount_positive"),
)

calls = Table(
    "calls",
    metadata,
    Column("key", Text, primary_key=True),
    Column("count", Integer, nullable=False, server_default=text("1")),
)

notices = Table(
    "notices",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("body", JSONB, nullable=False),
    Column("times", Integer, nullable=False),
    Column("told", Integer, nullable=False, server_default=text("0")),
    _time("due_at"),
    Index("notices_due", "due_at", postgresql_where=text("told < times")),
)
