"""What happened to an order: one entry for every version, never changed."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from contracts.types import OrderId
from order_service.domain.order import Order
from order_service.domain.status import FulfilmentStatus, OrderStatus, PaymentStatus


class HistoryEntry(NamedTuple):
    """How an order came to one of its versions."""

    order_id: OrderId
    version: int
    from_status: OrderStatus | None
    to_status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    actor: str
    cause: str
    cause_id: UUID
    at: datetime

    @property
    def key(self) -> tuple[OrderId, int]:
        return self.order_id, self.version


def entry(before: Order | None, after: Order, actor: str, cause: str, cause_id: UUID) -> HistoryEntry:
    return HistoryEntry(
        order_id=after.id,
        version=after.version,
        from_status=before.status if before else None,
        to_status=after.status,
        payment_status=after.payment_status,
        fulfilment_status=after.fulfilment_status,
        actor=actor,
        cause=cause,
        cause_id=cause_id,
        at=after.updated_at,
    )
