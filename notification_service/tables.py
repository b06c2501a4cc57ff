"""The tables of notification_service."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from chassis.migrations import add_chassis_tables
from notification_service.domain.mails import Template
from notification_service.domain.notification import Channel, Status


def _one_of(column: str, values: type[Status | Template | Channel]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_is_known")


PENDING = text("status IN ('queued', 'waiting', 'sending')")

metadata = MetaData(schema="notification_service")

notifications = Table(
    "notifications",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("event_id", Uuid, nullable=False),
    Column("template", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("user_id", Uuid),
    Column("order_id", Uuid),
    Column("data", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("resent", Integer, nullable=False),
    Column("reason", Text),
    Column("address", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("queued_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("sent_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False),
    UniqueConstraint("event_id", "template", "channel", "recipient", name="one_mail_an_event"),
    _one_of("status", Status),
    _one_of("template", Template),
    _one_of("channel", Channel),
    CheckConstraint("(status = 'sent') = (sent_at IS NOT NULL)", name="sent_has_its_time"),
    CheckConstraint("address IS NULL OR status = 'sent'", name="address_only_when_sent"),
    Index("notifications_due", "due_at", postgresql_where=PENDING),
    Index("notifications_of_user", "user_id", "created_at", "id", postgresql_where=text("user_id IS NOT NULL")),
    Index("notifications_of_order", "order_id", postgresql_where=text("order_id IS NOT NULL")),
    Index("notifications_by_time", "created_at", "id"),
    Index("notifications_with_address", "sent_at", postgresql_where=text("address IS NOT NULL")),
    postgresql_with={"fillfactor": 70},
)

readers = Table(
    "notification_preferences",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("locale", Text),
    Column("opted_out", JSONB, nullable=False),
    Column("erased", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
)

# Whose notifications may still say something although they are erased. There is hardly ever a row in it, and each look
# costs next to nothing: of all who were ever erased, `readers` knows.
erasures = Table("erasures", metadata, Column("user_id", Uuid, primary_key=True))

add_chassis_tables(metadata)
