"""The tables of order_service: orders, their history, and the replica of the products."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    Interval,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from chassis.migrations import add_chassis_tables

metadata = MetaData(schema="order_service")


def _one_of(column: str, *words: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(map(repr, words))})", name=f"orders_{column}_is_known")


_OPEN = "status IN ('pending', 'awaiting_payment')"

# An order changes twice in a batch's time: with half the page free the new versions stay beside the old one.
orders = Table(
    "orders",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    Column("payment_status", Text, nullable=False),
    Column("fulfilment_status", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("adjustments", JSONB, nullable=False),
    Column("lines_total", BigInteger, nullable=False),
    Column("adjustments_total", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("refunded_total", BigInteger, nullable=False),
    Column("shipping_address", JSONB, nullable=False),
    Column("method", Text),
    Column("note", Text),
    Column("metadata", JSONB, nullable=False),
    Column("trace_id", Text),
    Column("attempt", Integer, nullable=False),
    Column("last_failed_attempt", Integer, nullable=False),
    Column("failure", JSONB),
    Column("cancel_phase", Text),
    Column("cancel_reason", Text),
    Column("cancel_no", Integer, nullable=False),
    Column("stock_settled", Boolean, nullable=False),
    Column("money_settled", Boolean, nullable=False),
    Column("shipments", JSONB, nullable=False),
    Column("refunds", JSONB, nullable=False),
    Column("pay_within", Interval, nullable=False),
    Column("pay_by", DateTime(timezone=True)),
    Column("settle_by", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("confirmed_at", DateTime(timezone=True)),
    Column("shipped_at", DateTime(timezone=True)),
    Column("delivered_at", DateTime(timezone=True)),
    Column("cancelled_at", DateTime(timezone=True)),
    _one_of(
        "status",
        "pending",
        "awaiting_payment",
        "rejected",
        "confirmed",
        "partially_shipped",
        "shipped",
        "delivered",
        "cancelling",
        "cancelled",
    ),
    _one_of("payment_status", "pending", "failed", "paid", "partially_refunded", "refunded", "cancelled"),
    _one_of("fulfilment_status", "unfulfilled", "partially_shipped", "shipped", "delivered"),
    _one_of("cancel_phase", "pre", "post"),
    _one_of("cancel_reason", "customer", "operator", "payment_failed", "deadline"),
    CheckConstraint("total = lines_total + adjustments_total", name="orders_total_adds_up"),
    CheckConstraint("total >= 0 AND lines_total >= 0", name="orders_total_is_an_amount"),
    CheckConstraint("refunded_total BETWEEN 0 AND total", name="orders_refunds_are_within_the_total"),
    CheckConstraint(
        "attempt BETWEEN 0 AND 3 AND last_failed_attempt BETWEEN 0 AND attempt",
        name="orders_attempts_are_few",
    ),
    CheckConstraint(
        "(status IN ('cancelling', 'cancelled')) = (cancel_phase IS NOT NULL AND cancel_reason IS NOT NULL)",
        name="orders_cancelled_for_a_reason",
    ),
    CheckConstraint(
        "(status = 'cancelled') = (cancelled_at IS NOT NULL) "
        "AND (status <> 'cancelled' OR stock_settled AND money_settled)",
        name="orders_cancelled_when_settled",
    ),
    CheckConstraint(
        "status NOT IN ('confirmed', 'partially_shipped', 'shipped', 'delivered') OR confirmed_at IS NOT NULL",
        name="orders_confirmed_before_shipped",
    ),
    CheckConstraint(f"({_OPEN}) = (due_at IS NOT NULL)", name="orders_open_ones_are_due"),
    CheckConstraint("version >= 1", name="orders_version_counts"),
    Index("orders_of_a_customer", "customer_id", "created_at", "id"),
    Index("orders_by_age", "created_at", "id"),
    Index("orders_due", "due_at", postgresql_where="due_at IS NOT NULL"),
    postgresql_with={"fillfactor": 50},
)

order_history = Table(
    "order_history",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("from_status", Text),
    Column("to_status", Text, nullable=False),
    Column("payment_status", Text, nullable=False),
    Column("fulfilment_status", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("cause_id", Uuid, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    CheckConstraint("(version = 1) = (from_status IS NULL)", name="order_history_begins_with_nothing"),
    info={"append_only": True},
)

products = Table(
    "products",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    CheckConstraint("price >= 0", name="products_price_is_an_amount"),
    CheckConstraint("version >= 1", name="products_version_counts"),
)

# Customers whose orders are being erased, and up to which one they are.
erasures = Table(
    "erasures",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("reached", Uuid, nullable=False),
)

add_chassis_tables(metadata)
