"""What leaves the warehouse, reaches the customer, and comes back: completed tasks, deliveries and returns."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from contracts.stock import ReturnReceived, ShipmentDelivered, ShipmentDispatched
from contracts.types import OrderId, ReturnedLine, ReturnId, ShipmentId, ShippedLine, Sku, UserId
from inventory_service.domain.allocation import Hold
from inventory_service.domain.movement import Kind, Step
from inventory_service.domain.reservation import Outcome, Reservation, Shipment, Status
from inventory_service.domain.stock import Stock
from inventory_service.domain.task import Task, TaskClosed, TaskKind, TaskStatus, TaskUnknown, close, existing

MOST_RETURNS = 100  # of one order: the refund of each stands in it, and each change of the order writes all of them


class NotOnHand(Exception):
    """The goods are not on the shelf yet."""


class ShipmentUnknown(Exception):
    """There is no such shipment."""


class NotShipped(Exception):
    """More came back than has left for this order."""


class TooManyReturns(Exception):
    """What comes back of an order comes in a hundred returns at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteTask:
    """Done. A fulfil task ships what its warehouse holds for the order, which the command names with it."""

    task_id: UUID
    order_id: OrderId | None
    carrier: str | None = None
    tracking_number: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDelivery:
    """A shipment has reached the customer."""

    order_id: OrderId
    shipment_id: ShipmentId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveReturn:
    """Goods of an order are back and inspected: how many of each sku, and how many can be sold again."""

    order_id: OrderId
    lines: tuple[ReturnedLine, ...]


def complete(
    known: Task | None, reservation: Reservation | None, stocks: dict[Sku, Stock], command: CompleteTask, step: Step
) -> Outcome:
    task = existing(known)
    if task.order_id != command.order_id:
        raise TaskUnknown
    if not task.is_open:
        raise TaskClosed
    completed = close(task, TaskStatus.COMPLETED, step.at)
    if task.kind is not TaskKind.FULFIL or reservation is None:
        return Outcome(reservation=None, tasks=(completed,))
    shipped = _ship(reservation, completed, stocks, command, step)
    return shipped._replace(tasks=(completed,))


def _ship(reservation: Reservation, task: Task, stocks: dict[Sku, Stock], command: CompleteTask, step: Step) -> Outcome:
    leaving = tuple(hold for hold in reservation.holds if hold.warehouse == task.warehouse)
    for hold in leaving:
        _require_on_hand(stocks[hold.sku], hold)
    shipment = Shipment(
        id=ShipmentId(step.derive("shipment", task.id)),
        task_id=task.id,
        lines=tuple(ShippedLine(sku=hold.sku, quantity=hold.outstanding) for hold in leaving),
        carrier=command.carrier,
        tracking=command.tracking_number,
        dispatched_at=step.at,
    )
    holds = tuple(replace(h, shipped=h.quantity) if h in leaving else h for h in reservation.holds)
    status = Status.COMMITTED if any(hold.outstanding for hold in holds) else Status.CONSUMED
    shipments = (*reservation.shipments, shipment)
    shipped = reservation.moved_to(status, step.at, holds=holds, shipments=shipments)
    movements = (
        step.movement(Kind.SHIP, shipment.id, h.sku, h.warehouse, delta=-h.outstanding, reserved_delta=-h.outstanding)
        for h in leaving
    )
    return Outcome(
        reservation=shipped, movements=tuple(movements), events=(_told(ShipmentDispatched, shipped, shipment),)
    )


def _require_on_hand(stock: Stock, hold: Hold) -> None:
    level = stock.find(hold.warehouse)
    on_hand = level.on_hand if level else 0
    if on_hand < hold.outstanding:
        message = f"{hold.sku}: {hold.outstanding} to ship, {on_hand} on hand in {hold.warehouse}."
        raise NotOnHand(message)


def deliver(reservation: Reservation | None, command: RecordDelivery, step: Step) -> Outcome:
    shipments = reservation.shipments if reservation else ()
    shipment = next((each for each in shipments if each.id == command.shipment_id), None)
    if reservation is None or shipment is None:
        raise ShipmentUnknown
    if shipment.delivered_at is not None:
        return Outcome(reservation=reservation)
    delivered = replace(shipment, delivered_at=step.at)
    after = reservation.moved_to(
        reservation.status, step.at, shipments=tuple(delivered if each is shipment else each for each in shipments)
    )
    return Outcome(reservation=after, events=(_told(ShipmentDelivered, after, delivered),))


def _told(
    event: type[ShipmentDispatched | ShipmentDelivered], reservation: Reservation, shipment: Shipment
) -> ShipmentDispatched | ShipmentDelivered:
    return event(
        order_id=reservation.order_id,
        customer_id=_customer(reservation),
        shipment_id=shipment.id,
        lines=shipment.lines,
        carrier=shipment.carrier,
        tracking=shipment.tracking,
    )


def _customer(reservation: Reservation) -> UserId:
    """Only an order that was confirmed ships, and confirming names the customer."""
    if reservation.customer_id is None:
        raise ShipmentUnknown
    return reservation.customer_id


def take_back(reservation: Reservation | None, command: ReceiveReturn, return_id: ReturnId, step: Step) -> Outcome:
    """Goods that can be sold again go back on the shelf they left from."""
    if reservation is None:
        raise ShipmentUnknown
    if reservation.returns >= MOST_RETURNS:
        message = (
            f"There are {MOST_RETURNS} returns of this order already, of any number of units each. "
            "Put what else comes back on the shelf by an adjustment of stock, and give the money back by a refund."
        )
        raise TooManyReturns(message)
    holds, movements = reservation.holds, []
    lines = _summed(command.lines)
    for line in lines:
        holds = _returned(holds, line)
        if line.restocked:
            warehouse = next(hold.warehouse for hold in holds if hold.sku == line.sku and hold.returned)
            movements.append(step.movement(Kind.RETURN, return_id, line.sku, warehouse, delta=line.restocked))
    after = reservation.moved_to(reservation.status, step.at, holds=holds, returns=reservation.returns + 1)
    event = ReturnReceived(order_id=reservation.order_id, return_id=return_id, lines=lines)
    return Outcome(reservation=after, movements=tuple(movements), events=(event,))


def _summed(lines: Iterable[ReturnedLine]) -> tuple[ReturnedLine, ...]:
    sums: dict[Sku, ReturnedLine] = {}
    for line in lines:
        known = sums.get(line.sku)
        sums[line.sku] = line if known is None else _added(known, line)
    return tuple(sums.values())


def _added(one: ReturnedLine, other: ReturnedLine) -> ReturnedLine:
    return ReturnedLine(sku=one.sku, quantity=one.quantity + other.quantity, restocked=one.restocked + other.restocked)


def _returned(holds: tuple[Hold, ...], line: ReturnedLine) -> tuple[Hold, ...]:
    left, after = line.quantity, []
    for hold in holds:
        back = min(left, hold.shipped - hold.returned) if hold.sku == line.sku else 0
        left -= back
        after.append(replace(hold, returned=hold.returned + back) if back else hold)
    if left or line.restocked > line.quantity:
        raise NotShipped
    return tuple(after)
