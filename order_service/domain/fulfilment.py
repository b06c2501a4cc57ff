"""How an order leaves the warehouse: shipments, kept in whatever order they come, and the status that they say."""

from dataclasses import replace
from datetime import datetime

from contracts.event import Event
from contracts.orders import OrderDelivered, OrderShipped
from contracts.stock import ShipmentDelivered, ShipmentDispatched
from order_service.domain.order import Order, Outcome, Shipment
from order_service.domain.status import FulfilmentStatus, OrderStatus

_STATUS = {
    FulfilmentStatus.UNFULFILLED: OrderStatus.CONFIRMED,
    FulfilmentStatus.PARTIALLY_SHIPPED: OrderStatus.PARTIALLY_SHIPPED,
    FulfilmentStatus.SHIPPED: OrderStatus.SHIPPED,
    FulfilmentStatus.DELIVERED: OrderStatus.DELIVERED,
}


def keep_shipment(order: Order, fact: ShipmentDispatched | ShipmentDelivered, now: datetime) -> Outcome:
    """The order with the shipment. While it is being cancelled, its status waits for the warehouse's answer."""
    shipments = {shipment.id: shipment for shipment in order.shipments}
    known = shipments.get(fact.shipment_id)
    delivered = isinstance(fact, ShipmentDelivered)
    if known is not None and (known.delivered_at is not None or not delivered):
        return order, ()
    shipments[fact.shipment_id] = Shipment(
        id=fact.shipment_id,
        lines=fact.lines,
        carrier=fact.carrier,
        tracking_number=fact.tracking,
        dispatched_at=known.dispatched_at if known else now,
        delivered_at=now if delivered else None,
    )
    after = order.changed(now, shipments=tuple(shipments.values()))
    return (after, ()) if order.status is OrderStatus.CANCELLING else follow_shipments(after, now)


def go_on(order: Order, now: datetime) -> Outcome:
    """The warehouse has refused the cancellation."""
    after = order.changed(now, cancel_phase=None, cancel_reason=None, stock_settled=False, money_settled=False)
    return follow_shipments(after, now)


def follow_shipments(order: Order, now: datetime) -> Outcome:
    """The order with the status that its shipments say, and what is told on reaching it."""
    status = _STATUS[order.fulfilment_status]
    ids = tuple(shipment.id for shipment in order.shipments)
    events: list[Event] = []
    after = replace(order, status=status)
    if status in {OrderStatus.SHIPPED, OrderStatus.DELIVERED} and order.shipped_at is None:
        after = replace(after, shipped_at=now)
        events.append(OrderShipped(order_id=order.id, shipments=ids))
    if status is OrderStatus.DELIVERED and order.delivered_at is None:
        after = replace(after, delivered_at=now)
        events.append(OrderDelivered(order_id=order.id, shipments=ids))
    return after, tuple(events)
