"""The journal of the shelves. Stock changes only by movements, so that it is always their sum."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from contracts.types import OrderId, Sku


class Kind(StrEnum):
    """What a movement is."""

    RECEIVE = "receive"
    ADJUST = "adjust"
    RESERVE = "reserve"
    RELEASE = "release"
    SHIP = "ship"
    RETURN = "return"
    CORRECT = "correct"


class Reason(StrEnum):
    """Why staff adjust stock."""

    RECEIVED = "received"
    DAMAGED = "damaged"
    COUNTED = "counted"
    RETURNED = "returned"
    CORRECTION = "correction"


class Movement(NamedTuple):
    """Units of one sku that came, went, or changed between free and reserved, in one warehouse.

    ``delta`` is what on_hand changed by, ``reserved_delta`` what reserved changed by.
    """

    id: UUID
    reference: UUID
    sku: Sku
    warehouse: str
    kind: Kind
    actor: str
    created_at: datetime
    delta: int = 0
    reserved_delta: int = 0
    reason: Reason | None = None
    order_id: OrderId | None = None

    @property
    def key(self) -> tuple[UUID, Sku, str, Kind]:
        return self.reference, self.sku, self.warehouse, self.kind


class Step(NamedTuple):
    """The circumstances of one decision: who, when, and the ids that follow from its cause."""

    derive: Callable[..., UUID]
    actor: str
    at: datetime
    order_id: OrderId | None = None

    def movement(  # noqa: PLR0913 -- every argument is a column of the journal
        self,
        kind: Kind,
        reference: UUID,
        sku: Sku,
        warehouse: str,
        *,
        delta: int = 0,
        reserved_delta: int = 0,
        reason: Reason | None = None,
    ) -> Movement:
        return Movement(
            id=self.derive("movement", kind, reference, sku, warehouse),
            reference=reference,
            sku=sku,
            warehouse=warehouse,
            kind=kind,
            delta=delta,
            reserved_delta=reserved_delta,
            reason=reason,
            order_id=self.order_id,
            actor=self.actor,
            created_at=self.at,
        )
