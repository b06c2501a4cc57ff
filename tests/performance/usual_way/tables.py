"""The tables of all five parts, as ORM classes: the rows that Ordermill writes for an order, no more and no fewer."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Identity, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012 -- SQLAlchemy reads it here
        str: Text,
        int: BigInteger,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
    }


class Product(Base):
    __tablename__ = "products"

    sku: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[int]
    currency: Mapped[str]


class Order(Base):
    __tablename__ = "orders"
    __table_args__ = (Index("orders_of_a_customer", "customer_id", "created_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    customer_id: Mapped[UUID]
    status: Mapped[str]
    currency: Mapped[str]
    lines: Mapped[list[dict[str, Any]]]
    total: Mapped[int]
    shipping_address: Mapped[dict[str, Any]]
    method: Mapped[str | None]
    note: Mapped[str | None]
    details: Mapped[dict[str, Any]]
    attempt: Mapped[int] = mapped_column(default=0)
    failure: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    confirmed_at: Mapped[datetime | None]


class OrderHistory(Base):
    __tablename__ = "order_history"

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    from_status: Mapped[str | None]
    to_status: Mapped[str]
    cause: Mapped[str]
    at: Mapped[datetime] = mapped_column(default=now)


class IdempotencyKey(Base):
    __tablename__ = "idempotency_keys"

    customer_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    location: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Stock(Base):
    __tablename__ = "stock"
    __table_args__ = (CheckConstraint("reserved BETWEEN 0 AND on_hand", name="never_oversold"),)

    sku: Mapped[str] = mapped_column(primary_key=True)
    on_hand: Mapped[int]
    reserved: Mapped[int] = mapped_column(default=0)


class StockMovement(Base):
    __tablename__ = "stock_movements"
    __table_args__ = (
        UniqueConstraint("order_id", "sku", "kind", name="one_movement_a_reason"),
        Index("stock_movements_by_sku", "sku", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    order_id: Mapped[UUID]
    sku: Mapped[str]
    kind: Mapped[str]
    reserved_delta: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Reservation(Base):
    __tablename__ = "reservations"

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID]
    customer_id: Mapped[UUID]
    status: Mapped[str]
    holds: Mapped[list[dict[str, Any]]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class Task(Base):
    __tablename__ = "tasks"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    order_id: Mapped[UUID] = mapped_column(index=True)
    title: Mapped[str]
    description: Mapped[str]
    status: Mapped[str] = mapped_column(default="pending")
    created_at: Mapped[datetime] = mapped_column(default=now)


class Payment(Base):
    __tablename__ = "payments"
    __table_args__ = (CheckConstraint("captured IN (0, amount)", name="captured_whole_or_not"),)

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(unique=True)
    customer_id: Mapped[UUID]
    status: Mapped[str]
    amount: Mapped[int]
    currency: Mapped[str]
    captured: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class PaymentAttempt(Base):
    __tablename__ = "payment_attempts"

    key: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(index=True)
    attempt: Mapped[int]
    method: Mapped[str]
    status: Mapped[str]
    reference: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class LedgerEntry(Base):
    __tablename__ = "ledger"

    key: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(index=True)
    kind: Mapped[str]
    amount: Mapped[int]
    currency: Mapped[str]
    reference: Mapped[str]
    entered_at: Mapped[datetime] = mapped_column(default=now)


class ProviderCharge(Base):
    """What the simulated provider charged: its own books, committed apart from the shop."""

    __tablename__ = "provider_charges"

    key: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(index=True)
    token: Mapped[str]
    amount: Mapped[int]
    currency: Mapped[str]
    status: Mapped[str]
    reference: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Notification(Base):
    __tablename__ = "notifications"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(index=True)
    customer_id: Mapped[UUID] = mapped_column(index=True)
    template: Mapped[str]
    data: Mapped[dict[str, Any]]
    status: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    sent_at: Mapped[datetime | None]


class Inbox(Base):
    """Events that a consumer has handled."""

    __tablename__ = "inbox"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    consumer: Mapped[str] = mapped_column(primary_key=True)
    handled_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class Outbox(Base):
    """Events to be published, in order."""

    __tablename__ = "outbox"
    __table_args__ = (Index("outbox_unpublished", "id", postgresql_where=text("published_at IS NULL")),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    event_id: Mapped[UUID]
    topic: Mapped[str]
    payload: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    published_at: Mapped[datetime | None]
