"""An order and a quote as JSON, written in one go: what ``schemas`` tell, without making models for each answer.

``tests/unit/order_service/test_answers.py`` holds the two equal, byte by byte.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from chassis.http import Answer, etag
from chassis.ids import typeid
from chassis.times import written
from contracts.types import order_number
from order_service.domain.order import Line, Order
from order_service.domain.pricing import Priced
from order_service.schemas import OrderShipment


def shown(order: Order, status: int = 200, **more: str) -> Answer:
    return Answer(order_json(order), status, {"ETag": etag(order.version), **more})


def created(order: Order) -> Answer:
    return shown(order, 201, Location=f"/api/v1/orders/{typeid('ord', order.id)}")


def accepted(order: Order) -> Answer:
    return shown(order, 202)


def order_json(order: Order) -> bytes:
    currency = order.currency
    told = {
        "id": typeid("ord", order.id),
        "number": order_number(order.id),
        "status": order.status,
        "payment_status": order.payment_status,
        "fulfilment_status": order.fulfilment_status,
        "customer_id": typeid("usr", order.customer_id),
        "currency": currency,
        "lines": [_line(line, currency) for line in order.lines],
        "total": _money(order.total, currency),
        "refunded_total": _money(order.refunded_total, currency),
        "shipping_address": order.shipping_address,
        "shipments": [OrderShipment.model_validate(shipment) for shipment in order.shipments],
        "cancel_reason": order.cancel_reason,
        "failure": order.failure,
        "attempt": order.attempt,
        "pay_by": _time(order.pay_by),
        "note": order.note,
        "metadata": order.metadata,
        "version": order.version,
        "trace_id": order.trace_id,
    }
    return to_json(told | _times(order))


def quote_json(priced: Priced, available: Mapping[str, int | None]) -> bytes:
    """Prices, and what is available of each line's sku: None where nobody could say."""
    currency = priced.currency
    lines = [_line(line, currency) | {"available": available.get(line.sku)} for line in priced.lines]
    return to_json({"currency": currency, "lines": lines, "total": priced.total})


def _times(order: Order) -> dict[str, str | None]:
    return {
        "created_at": written(order.created_at),
        "updated_at": written(order.updated_at),
        "confirmed_at": _time(order.confirmed_at),
        "shipped_at": _time(order.shipped_at),
        "cancelled_at": _time(order.cancelled_at),
    }


def _line(line: Line, currency: str) -> dict[str, Any]:
    return {
        "line_no": line.line_no,
        "sku": line.sku,
        "name": line.name,
        "quantity": line.quantity,
        "unit_price": _money(line.unit_price, currency),
        "total": _money(line.total, currency),
    }


def _money(amount: int, currency: str) -> dict[str, int | str]:
    return {"amount": amount, "currency": currency}


def _time(moment: datetime | None) -> str | None:
    return written(moment) if moment else None
