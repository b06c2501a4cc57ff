"""Builders of orders at every stage of their life, and of the facts and commands that move them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chassis.decisions import Cause
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
    Money,
    OrderedLine,
    OrderId,
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
    UserId,
)
from order_service.domain import cancellation, life, pricing
from order_service.domain.life import PlaceOrder
from order_service.domain.order import Address, Order
from order_service.domain.pricing import Product

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
ORDER = OrderId(UUID("01938000-0000-7000-8000-00000000000a"))
CUSTOMER = UserId(UUID("01938000-0000-7000-8000-00000000000c"))
CAUSE = UUID("01938000-0000-7000-8000-00000000000e")
REFUND = RefundId(UUID("01938000-0000-7000-8000-0000000000f1"))
SHIPMENT = ShipmentId(UUID("01938000-0000-7000-8000-0000000000b1"))
SECOND_SHIPMENT = ShipmentId(UUID("01938000-0000-7000-8000-0000000000b2"))
RETURN = ReturnId(UUID("01938000-0000-7000-8000-0000000000c1"))
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
MUG, TEA = "MUG-RED", "TEA-GREEN"
TOTAL = 3097  # two mugs for 12.99 and one tea for 4.99


def euro(amount: int) -> Money:
    return Money(amount=amount, currency="EUR")


def a_cause(**given) -> Cause:
    facts = {"id": CAUSE, "now": NOW, "actor": "inventory_service", "correlation_id": "req_1"}
    return Cause(**{**facts, "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"} | given)


def a_product(sku: str = MUG, **given) -> Product:
    price = {MUG: 1299, TEA: 499}.get(sku, 100)
    facts = {"sku": sku, "name": sku.title(), "price": price, "currency": "EUR", "active": True, "version": 1}
    return Product(**facts | given)


def products(*given: Product) -> dict[str, Product | None]:
    return {product.sku: product for product in given or (a_product(MUG), a_product(TEA))}


def lines(*given: tuple[str, int]) -> tuple[OrderedLine, ...]:
    wanted = given or ((MUG, 2), (TEA, 1))
    return tuple(OrderedLine(line_no=n, sku=sku, quantity=many) for n, (sku, many) in enumerate(wanted, 1))


def an_address(**given) -> Address:
    return Address(
        **{"name": "Ada", "line1": "1 Mill Lane", "city": "Bonn", "postal_code": "53111", "country": "DE"} | given
    )


def place_order(**given) -> PlaceOrder:
    facts = {
        "order_id": ORDER,
        "customer_id": CUSTOMER,
        "lines": lines(),
        "shipping_address": an_address(),
        "method": "tok_ok",
        "pay_within": timedelta(minutes=30),
        "settle_within": timedelta(hours=24),
    }
    return PlaceOrder(**facts | given)


def an_order(**given) -> Order:
    """A pending order; ``given`` are its fields."""
    command = place_order()
    order, _ = life.place(command, pricing.price(command.lines, products()), NOW, TRACE)
    return replace(order, **given)


def heard(order: Order, *facts: life.Fact, refund_id: RefundId = REFUND) -> Order:
    """The order after these facts."""
    for fact in facts:
        order, _ = life.advance(order, fact, refund_id, NOW)
    return order


def an_awaiting_order(**given) -> Order:
    return replace(heard(an_order(), reserved()), **given)


def a_declined_order(**given) -> Order:
    return replace(heard(an_awaiting_order(), declined()), **given)


def a_confirmed_order(**given) -> Order:
    return replace(heard(an_awaiting_order(), succeeded()), **given)


def a_rejected_order(**given) -> Order:
    return replace(heard(an_order(), rejected()), **given)


def a_cancelling_order(before: Order | None = None, **given) -> Order:
    """By the customer; of an order that awaits payment unless another is given."""
    order, _ = cancellation.cancel(before or an_awaiting_order(), CancelReason.CUSTOMER, NOW)
    return replace(order, **given)


def a_cancelled_order(before: Order | None = None) -> Order:
    return heard(a_cancelling_order(before), released(), returned())


def reserved(**given) -> StockReserved:
    allocations = (Allocation(sku=MUG, quantity=2, warehouse="main"), Allocation(sku=TEA, quantity=1, warehouse="main"))
    return StockReserved(
        **{"order_id": ORDER, "reservation_id": ReservationId(CAUSE), "allocations": allocations} | given
    )


def rejected(**given) -> StockRejected:
    missing = (Shortage(sku=MUG, requested=2, available=1),)
    return StockRejected(**{"order_id": ORDER, "reason": RejectReason.INSUFFICIENT_STOCK, "missing": missing} | given)


def released(**given) -> StockReleased:
    return StockReleased(**{"order_id": ORDER} | given)


def refused(**given) -> CancellationRefused:
    return CancellationRefused(**{"order_id": ORDER, "cancel_no": 1, "shipments": (SHIPMENT,)} | given)


def succeeded(**given) -> PaymentSucceeded:
    facts = {"order_id": ORDER, "payment_id": PaymentId(CAUSE), "attempt": 1, "amount": euro(TOTAL)}
    return PaymentSucceeded(**{**facts, "provider_reference": "ch_1"} | given)


def declined(**given) -> PaymentFailed:
    facts = {"order_id": ORDER, "customer_id": CUSTOMER, "attempt": 1, "code": "card_declined", "retryable": True}
    return PaymentFailed(**{**facts, "message": "The card was declined."} | given)


def returned(**given) -> PaymentCancelled:
    return PaymentCancelled(**{"order_id": ORDER, "kind": ReturnKind.NONE} | given)


def refunded(**given) -> RefundSucceeded:
    facts = {"order_id": ORDER, "customer_id": CUSTOMER, "refund_id": REFUND, "amount": euro(1000)}
    return RefundSucceeded(**facts | given)


def refund_failed(**given) -> RefundFailed:
    return RefundFailed(**{"order_id": ORDER, "refund_id": REFUND, "amount": euro(1000), "code": "closed"} | given)


def dispatched(*shipped: tuple[str, int], **given) -> ShipmentDispatched:
    return ShipmentDispatched(**_shipment(shipped) | given)


def delivered(*shipped: tuple[str, int], **given) -> ShipmentDelivered:
    return ShipmentDelivered(**_shipment(shipped) | given)


def _shipment(shipped: tuple[tuple[str, int], ...]) -> dict:
    gone = tuple(ShippedLine(sku=sku, quantity=many) for sku, many in shipped or ((MUG, 2), (TEA, 1)))
    facts = {"order_id": ORDER, "customer_id": CUSTOMER, "shipment_id": SHIPMENT, "lines": gone}
    return {**facts, "carrier": "DHL", "tracking": "JD01"}


def goods_back(*back: tuple[str, int], **given) -> ReturnReceived:
    gone = tuple(ReturnedLine(sku=sku, quantity=many, restocked=many) for sku, many in back or ((MUG, 1),))
    return ReturnReceived(**{"order_id": ORDER, "return_id": RETURN, "lines": gone} | given)


def upserted(sku: str = MUG, price: int = 1299, currency: str = "EUR", **given) -> ProductUpserted:
    cost = UnitPrice(amount=price, currency=currency)
    facts = {"sku": sku, "name": sku.title(), "price": cost, "active": True, "version": 1}
    return ProductUpserted(**facts | given)
