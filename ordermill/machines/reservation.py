"""The reservation as a machine: two skus, each in a warehouse of its own, so that an order makes two shipments."""

from typing import Any

from contracts.orders import OrderCancellationRequested, OrderConfirmed, OrderCreated
from contracts.types import CancelPhase, CancelReason, OrderedLine, PricedLine, Priority, ReturnedLine, UnitPrice
from ordermill.machines.driving import (
    CUSTOMER,
    ORDER,
    PRICES,
    SKUS,
    TOTAL,
    Abstract,
    Driven,
    Item,
    Make,
    Things,
    decide,
    euros,
    fields_of,
    found,
    items,
)
from ordermill.services import load

WAREHOUSES = ("main", "north")
ON_HAND = 5
CANCELLATIONS = ((CancelPhase.PRE, 1), (CancelPhase.POST, 1), (CancelPhase.POST, 2))


def reservation() -> Driven:
    service = load("inventory_service")
    kinds = items(service)
    things: Things = {}
    for command in _stocked(kinds):
        things, _ = decide(service, things, Item(command))
    return Driven(service=service, start=things, triggers=_facts() | _work(kinds), abstract=_abstract)


def _stocked(kinds: dict[str, Any]) -> list[Any]:
    received = fields_of(kinds["AdjustStock"])["reason"]("received")
    north = kinds["SetWarehouse"](code="north", priority=1)
    products = [
        kinds["CreateProduct"](sku=sku, name=sku.title(), description="", price=UnitPrice(amount=price, currency="EUR"))
        for sku, price in zip(SKUS, PRICES, strict=True)
    ]
    shelves = [
        kinds["AdjustStock"](sku=sku, delta=ON_HAND, reason=received, warehouse=warehouse)
        for sku, warehouse in zip(SKUS, WAREHOUSES, strict=True)
    ]
    return [north, *products, *shelves]


def _facts() -> dict[str, Make]:
    confirmed = OrderConfirmed(
        order_id=ORDER,
        customer_id=CUSTOMER,
        lines=tuple(
            PricedLine(line_no=number, sku=sku, name=sku.title(), quantity=1, unit_price=euros(price))
            for number, (sku, price) in enumerate(zip(SKUS, PRICES, strict=True), 1)
        ),
        total=euros(TOTAL),
        priority=Priority.MEDIUM,
    )
    cancellations = [
        OrderCancellationRequested(order_id=ORDER, phase=phase, reason=CancelReason.CUSTOMER, cancel_no=number)
        for phase, number in CANCELLATIONS
    ]
    return {
        "order.created:enough": _created(1),
        "order.created:short": _created(ON_HAND + 1),
        confirmed.topic: lambda _things: Item(confirmed),
        **{f"{fact.topic}:{fact.phase}:{fact.cancel_no}": _said(fact) for fact in cancellations},
    }


def _said(fact: Any) -> Make:
    return lambda _things: Item(fact)


def _created(quantity: int) -> Make:
    lines = tuple(OrderedLine(line_no=number, sku=sku, quantity=quantity) for number, sku in enumerate(SKUS, 1))
    return _said(OrderCreated(order_id=ORDER, customer_id=CUSTOMER, lines=lines))


def _work(kinds: dict[str, Any]) -> dict[str, Make]:
    triggers: dict[str, Make] = {}
    for number in range(len(SKUS)):
        triggers[f"complete:{number}"] = _complete(kinds["CompleteTask"], number)
        triggers[f"deliver:{number}"] = _deliver(kinds["RecordDelivery"], number)
    back = (ReturnedLine(sku=SKUS[1], quantity=1, restocked=1),)
    triggers["return"] = _said(kinds["ReceiveReturn"](order_id=ORDER, lines=back))
    return triggers


def _complete(kind: type, number: int) -> Make:
    def make(things: Things) -> Item | None:
        task = _task(things, number)
        return task and Item(kind(task_id=task.id, order_id=ORDER, carrier="Snail", tracking_number="S1"))

    return make


def _deliver(kind: type, number: int) -> Make:
    def make(things: Things) -> Item | None:
        shipment = _shipment(things, number)
        return shipment and Item(kind(order_id=ORDER, shipment_id=shipment.id))

    return make


def _task(things: Things, number: int) -> Any:
    tasks = (task for task in found(things, "Task") if task.warehouse == WAREHOUSES[number])
    return next(tasks, None)


def _shipment(things: Things, number: int) -> Any:
    shipments = (shipment for known in found(things, "Reservation") for shipment in known.shipments)
    return next((shipment for shipment in shipments if shipment.lines[0].sku == SKUS[number]), None)


def _abstract(things: Things) -> Abstract:
    tasks = "".join(_letter(things, number) for number in range(len(SKUS)))
    for known in found(things, "Reservation"):
        returned = any(hold.returned for hold in known.holds)
        return {"status": str(known.status), "tasks": tasks, "returned": returned}
    return {"status": "none"}


def _letter(things: Things, number: int) -> str:
    task, shipment = _task(things, number), _shipment(things, number)
    if shipment:
        return "d" if shipment.delivered_at else "s"
    if task is None:
        return "-"
    return "o" if task.is_open else "x"


def shelves(things: Things) -> dict[str, tuple[int, int]]:
    """What is on hand and what is reserved of each sku."""
    return {stock.sku: (stock.on_hand, stock.reserved) for stock in found(things, "Stock")}
