"""The tables of inventory_service, with the constraints that stock depends on: not the code alone keeps it."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from chassis.migrations import add_chassis_tables

metadata = MetaData(schema="inventory_service")


def _one_of(column: str, *values: str) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


products = Table(
    "products",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("price_amount", BigInteger, CheckConstraint("price_amount >= 0", name="price_positive"), nullable=False),
    Column("price_currency", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

warehouses = Table(
    "warehouses",
    metadata,
    Column("code", Text, primary_key=True),
    Column("priority", Integer, nullable=False),
)

# Every batch rewrites the rows of the skus it touches: room in the page keeps the new version beside the old one.
stock = Table(
    "stock",
    metadata,
    Column("sku", Text),
    Column("warehouse", Text),
    Column("on_hand", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("backorder_limit", BigInteger, nullable=False),
    Column("low_threshold", BigInteger, nullable=False),
    Column("low", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("low_told_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("sku", "warehouse"),
    CheckConstraint("on_hand >= 0", name="on_hand_positive"),
    CheckConstraint("reserved >= 0", name="reserved_positive"),
    CheckConstraint("reserved <= on_hand + backorder_limit", name="never_oversold"),
    CheckConstraint("backorder_limit >= 0", name="backorder_limit_positive"),
    postgresql_with={"fillfactor": 30},
)

# on_hand is the sum of delta, reserved the sum of reserved_delta. The key forbids to move twice for one reference.
stock_movements = Table(
    "stock_movements",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("reference", Uuid),
    Column("sku", Text),
    Column("warehouse", Text),
    Column("kind", Text),
    Column("delta", BigInteger, nullable=False),
    Column("reserved_delta", BigInteger, nullable=False),
    Column("reason", Text),
    Column("order_id", Uuid),
    Column("actor", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("reference", "sku", "warehouse", "kind"),
    _one_of("kind", "receive", "adjust", "reserve", "release", "ship", "return", "correct"),
    Index("stock_movements_by_sku", "sku", "created_at", "id"),
    info={"append_only": True},
)

# Reservations and tasks change once or twice each: with half the page free 9 in 10 changes touch no index.
reservations = Table(
    "reservations",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    Column("customer_id", Uuid),
    Column("holds", JSONB, nullable=False),
    Column("task_ids", JSONB, nullable=False),
    Column("shipments", JSONB, nullable=False),
    Column("returns", Integer, nullable=False, server_default="0"),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    _one_of("status", "held", "rejected", "void", "released", "committed", "consumed"),
    Index("reservations_by_time", "created_at", "order_id"),
    postgresql_with={"fillfactor": 50},
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("assignee", Uuid),
    Column("due_at", DateTime(timezone=True)),
    Column("order_id", Uuid),
    Column("warehouse", Text),
    Column("created_by", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("completed_at", DateTime(timezone=True)),
    Column("deleted_at", DateTime(timezone=True)),
    _one_of("kind", "fulfil", "manual", "check"),
    _one_of("status", "pending", "in_progress", "blocked", "completed", "cancelled"),
    _one_of("priority", "low", "medium", "high", "critical"),
    Index("tasks_by_time", "created_at", "id", postgresql_where=text("deleted_at IS NULL")),
    Index("tasks_by_order", "order_id", postgresql_where=text("order_id IS NOT NULL")),
    postgresql_with={"fillfactor": 50},
)

add_chassis_tables(metadata)
