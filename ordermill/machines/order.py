"""The order as a machine: two lines, three attempts at most, one refund beside a cancellation.

The lines leave in a shipment each, since that takes the longest way; `order_in_one` sends both at once.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from chassis.app import Service
from contracts.payments import PaymentCancelled, PaymentFailed, PaymentSucceeded, RefundFailed, RefundSucceeded
from contracts.stock import (
    CancellationRefused,
    ProductUpserted,
    ReturnReceived,
    ShipmentDelivered,
    ShipmentDispatched,
    StockRejected,
    StockReleased,
    StockReserved,
)
from contracts.types import (
    Allocation,
    CancelReason,
    OrderedLine,
    PaymentId,
    RefundId,
    RejectReason,
    ReservationId,
    ReturnedLine,
    ReturnId,
    ReturnKind,
    ShipmentId,
    ShippedLine,
    Shortage,
    UnitPrice,
)
from ordermill.machines.driving import (
    CUSTOMER,
    NOON,
    ORDER,
    PRICES,
    SIZES,
    SKUS,
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

PAY_WITHIN, SETTLE_WITHIN = timedelta(minutes=30), timedelta(hours=24)
SHIPMENTS = tuple(ShipmentId(UUID(int=number)) for number in (10, 11))
RETURN, NO_REFUND = ReturnId(UUID(int=12)), RefundId(UUID(int=13))
PAYMENT, RESERVATION = PaymentId(UUID(int=14)), ReservationId(UUID(int=15))
ATTEMPTS = (1, 2, 3)
CANCELS = (1, 2)
ONE_BY_ONE = tuple((sku,) for sku in SKUS)


def order(shipped: Sequence[Sequence[str]] = ONE_BY_ONE) -> Driven:
    service = load("order_service")
    things: Things = {}
    for sku, price in zip(SKUS, PRICES, strict=True):
        known = ProductUpserted(
            sku=sku, name=sku.title(), price=UnitPrice(amount=price, currency="EUR"), active=True, version=1
        )
        things, _ = decide(service, things, Item(known))
    return Driven(service=service, start=things, triggers=_triggers(service, shipped), abstract=_abstract)


order_in_one = partial(order, (SKUS,))


def _triggers(service: Service, shipped: Sequence[Sequence[str]]) -> dict[str, Make]:
    return _commands(items(service)) | _facts() | _about_shipments(shipped)


def _commands(kinds: dict[str, Any]) -> dict[str, Make]:
    def command(name: str, at: timedelta = timedelta(0), **fields: Any) -> Make:
        return lambda _things: Item(kinds[name](order_id=ORDER, **fields), NOON + at)

    return {
        "create:card": _placed(kinds["PlaceOrder"], "tok_ok"),
        "create:later": _placed(kinds["PlaceOrder"], None),
        "cancel": command("CancelOrder", owner=CUSTOMER, reason=CancelReason.CUSTOMER),
        "pay": command("PayOrder", owner=CUSTOMER, method="tok_ok"),
        "pay_by": command("Expire", at=PAY_WITHIN),
        "settle_by": command("Expire", at=SETTLE_WITHIN),
        **{
            f"refund:{size}": command("RefundOrder", amount=euros(amount), note="goodwill")
            for size, amount in SIZES.items()
        },
    }


def _placed(kind: type, method: str | None) -> Make:
    lines = tuple(OrderedLine(line_no=number, sku=sku, quantity=1) for number, sku in enumerate(SKUS, 1))
    address = fields_of(kind)["shipping_address"](
        name="A. Customer", line1="1 High Street", city="Springfield", postal_code="12345", country="US"
    )
    command = kind(
        order_id=ORDER,
        customer_id=CUSTOMER,
        lines=lines,
        shipping_address=address,
        method=method,
        pay_within=PAY_WITHIN,
        settle_within=SETTLE_WITHIN,
    )
    return lambda things: None if found(things, "Order") else Item(command)


def _facts() -> dict[str, Make]:
    allocations = tuple(Allocation(sku=sku, quantity=1, warehouse="main") for sku in SKUS)
    missing = (Shortage(sku=SKUS[0], requested=1, available=0),)
    reason = RejectReason.INSUFFICIENT_STOCK
    back = (ReturnedLine(sku=SKUS[1], quantity=1, restocked=1),)
    facts = [
        StockReserved(order_id=ORDER, reservation_id=RESERVATION, allocations=allocations),
        StockRejected(order_id=ORDER, reason=reason, missing=missing),
        StockReleased(order_id=ORDER, reservation_id=RESERVATION),
        ReturnReceived(order_id=ORDER, return_id=RETURN, lines=back),
    ]
    refused = [CancellationRefused(order_id=ORDER, cancel_no=number, shipments=()) for number in CANCELS]
    return {
        **{fact.topic: _said(fact) for fact in facts},
        **{f"{fact.topic}:{fact.cancel_no}": _said(fact) for fact in refused},
        **_about_money(),
    }


def _said(fact: Any) -> Make:
    return lambda _things: Item(fact)


def _about_shipments(shipped: Sequence[Sequence[str]]) -> dict[str, Make]:
    facts = {
        f"{kind.topic}:{number}": kind(
            order_id=ORDER,
            customer_id=CUSTOMER,
            shipment_id=SHIPMENTS[number],
            lines=tuple(ShippedLine(sku=sku, quantity=1) for sku in skus),
        )
        for kind in (ShipmentDispatched, ShipmentDelivered)
        for number, skus in enumerate(shipped)
    }
    return {trigger: _said(fact) for trigger, fact in facts.items()}


def _about_money() -> dict[str, Make]:
    total = euros(sum(PRICES))
    triggers: dict[str, Make] = {PaymentCancelled.topic: _payment_cancelled}
    for number in ATTEMPTS:
        succeeded = PaymentSucceeded(
            order_id=ORDER, payment_id=PAYMENT, attempt=number, amount=total, provider_reference="ch_1"
        )
        failed = PaymentFailed(
            order_id=ORDER, customer_id=CUSTOMER, attempt=number, code="card_declined", retryable=True, message="No."
        )
        triggers[f"{succeeded.topic}:{number}"] = _said(succeeded)
        triggers[f"{failed.topic}:{number}"] = _said(failed)
    for size in SIZES:
        triggers[f"{RefundSucceeded.topic}:{size}"] = _refund_succeeded(size)
        triggers[f"{RefundFailed.topic}:{size}"] = _refund_failed(size)
    return triggers


def _payment_cancelled(things: Things) -> Item:
    paid = any(known.confirmed_at for known in found(things, "Order"))
    returned = {"kind": ReturnKind.REFUND, "returned": euros(sum(PRICES))} if paid else {"kind": ReturnKind.NONE}
    return Item(PaymentCancelled.model_validate({"order_id": ORDER, **returned}))


def _refund_succeeded(size: str) -> Make:
    def make(things: Things) -> Item:
        amount = euros(SIZES[size])
        refund_id = _refund_id(things, size)
        return Item(RefundSucceeded(order_id=ORDER, customer_id=CUSTOMER, refund_id=refund_id, amount=amount))

    return make


def _refund_failed(size: str) -> Make:
    def make(things: Things) -> Item:
        amount = euros(SIZES[size])
        return Item(RefundFailed(order_id=ORDER, refund_id=_refund_id(things, size), amount=amount, code="refused"))

    return make


def _refund_id(things: Things, size: str) -> RefundId:
    mine = (refund for known in found(things, "Order") for refund in _granted(known))
    return next((RefundId(refund.id) for refund in mine if refund.amount == SIZES[size]), NO_REFUND)


def _granted(known: Any) -> list[Any]:
    return [refund for refund in known.refunds if refund.reason != "cancelled"]


_REFUND = {"requested": "asked", "succeeded": "done", "failed": "refused"}


def _abstract(things: Things) -> Abstract:
    for known in found(things, "Order"):
        sizes = {amount: size for size, amount in SIZES.items()}
        refunds = [f"{sizes.get(refund.amount, refund.amount)}:{_REFUND[refund.status]}" for refund in _granted(known)]
        return {
            "status": str(known.status),
            "phase": str(known.cancel_phase or ""),
            "cancel_no": known.cancel_no,
            "stock_settled": known.stock_settled,
            "money_settled": known.money_settled,
            "attempt": known.attempt,
            "failed": known.last_failed_attempt,
            "card": known.method is not None,
            "shipments": "".join(_heard(known, shipment) for shipment in SHIPMENTS),
            "refund": " ".join(refunds),
        }
    return {"status": "none"}


def _heard(known: Any, shipment_id: ShipmentId) -> str:
    for shipment in known.shipments:
        if shipment.id == shipment_id:
            return "d" if shipment.delivered_at else "s"
    return "-"
