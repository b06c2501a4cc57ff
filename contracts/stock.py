"""Events told by inventory_service."""

from typing import ClassVar

from contracts.event import Event
from contracts.orders import AboutOrder
from contracts.types import (
    Allocation,
    Count,
    Lines,
    Name,
    Parts,
    RejectReason,
    ReservationId,
    ReturnedLine,
    ReturnId,
    ShipmentId,
    ShippedLine,
    Shortage,
    Sku,
    UnitPrice,
    Units,
    UserId,
    Version,
    WarehouseCode,
    Words,
)


class AboutSku(Event):
    """An event whose subject is a sku."""

    sku: Sku

    @property
    def subject(self) -> str:
        """The sku."""
        return self.sku


class StockReserved(AboutOrder):
    """Every line of the order is held."""

    topic: ClassVar[str] = "stock.reserved"

    reservation_id: ReservationId
    allocations: Parts[Allocation]


class StockRejected(AboutOrder):
    """At least one line could not be held, so nothing is held."""

    topic: ClassVar[str] = "stock.rejected"

    reason: RejectReason
    missing: Lines[Shortage]


class StockReleased(AboutOrder):
    """The cancellation is handled: nothing is held for the order, and nothing ever will be."""

    topic: ClassVar[str] = "stock.released"

    reservation_id: ReservationId | None = None


class CancellationRefused(AboutOrder):
    """The warehouse has already shipped, so the order goes on."""

    topic: ClassVar[str] = "stock.cancellation_refused"

    cancel_no: Count
    shipments: Parts[ShipmentId]


class StockLow(AboutSku):
    """What is available of a sku fell to its threshold; told once a day, and again once staff have filled it."""

    topic: ClassVar[str] = "stock.low"

    warehouse: WarehouseCode
    available: Units
    threshold: Units


class StockReplenished(AboutSku):
    """What is available of a sku rose above its threshold, and staff filled it, or it was told to be low a day ago."""

    topic: ClassVar[str] = "stock.replenished"

    warehouse: WarehouseCode
    available: Units
    threshold: Units


class ProductUpserted(AboutSku):
    """A product was created, changed or archived; readers keep the newest version."""

    topic: ClassVar[str] = "product.upserted"

    name: Name
    price: UnitPrice
    active: bool
    version: Version


class ShipmentDispatched(AboutOrder):
    """Lines of the order have left the warehouse."""

    topic: ClassVar[str] = "shipment.dispatched"

    customer_id: UserId
    shipment_id: ShipmentId
    lines: Lines[ShippedLine]
    carrier: Words | None = None
    tracking: Words | None = None


class ShipmentDelivered(AboutOrder):
    """A shipment has reached the customer."""

    topic: ClassVar[str] = "shipment.delivered"

    customer_id: UserId
    shipment_id: ShipmentId
    lines: Lines[ShippedLine]
    carrier: Words | None = None
    tracking: Words | None = None


class ReturnReceived(AboutOrder):
    """Goods are back and inspected."""

    topic: ClassVar[str] = "return.received"

    return_id: ReturnId
    lines: Lines[ReturnedLine]
