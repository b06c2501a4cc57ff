"""The JSON of an order that is written in one go: what the documented model of it says, byte by byte."""

import json
from datetime import timedelta

import pytest

from chassis.ids import new_id
from contracts.types import OrderId
from order_service import schemas
from order_service.answers import order_json, quote_json
from order_service.domain.life import erase
from order_service.domain.order import Line
from order_service.domain.pricing import Priced
from tests.support.order_service import (
    LATER,
    NOW,
    a_cancelled_order,
    a_cancelling_order,
    a_confirmed_order,
    a_declined_order,
    a_rejected_order,
    an_address,
    an_awaiting_order,
    an_order,
    delivered,
    dispatched,
    goods_back,
    heard,
    refund_failed,
    refunded,
)

SHIPPED = heard(a_confirmed_order(), dispatched())
STAGES = [
    an_order(),
    an_order(id=OrderId(new_id()), note="“soon” \\ \u2028", metadata={"b": "ü", "a": '"'}, method=None),
    an_order(shipping_address=an_address(line2="2nd floor", region="NRW"), created_at=NOW + timedelta(microseconds=9)),
    an_awaiting_order(),
    a_declined_order(),
    a_confirmed_order(),
    a_rejected_order(),
    a_cancelling_order(),
    a_cancelled_order(),
    a_cancelled_order(a_confirmed_order()),
    SHIPPED,
    heard(SHIPPED, delivered(), goods_back()),
    heard(SHIPPED, delivered(), goods_back(), refunded()),
    heard(SHIPPED, delivered(), goods_back(), refund_failed()),
    erase(a_cancelled_order(), LATER)[0],
]


@pytest.mark.parametrize("order", STAGES, ids=lambda order: f"{order.status}-{order.version}")
def test_an_order_reads_as_its_model_says(order):
    assert order_json(order) == schemas.Order.of(order).model_dump_json().encode()


def test_nothing_of_the_model_is_left_out():
    assert list(json.loads(order_json(an_order()))) == list(schemas.Order.model_fields)


def a_quote(available):
    lines = (
        Line(line_no=1, sku="MUG-RED", name="Mug “red” \\", quantity=2, unit_price=1299),
        Line(line_no=2, sku="TEA-GREEN", name="Tea\u2028ü", quantity=999, unit_price=0),
        Line(line_no=3, sku="MUG-RED", name="Mug “red” \\", quantity=1, unit_price=1299),
    )
    return json.loads(quote := quote_json(Priced(lines, "EUR"), available)), quote


@pytest.mark.parametrize("available", [{"MUG-RED": 7, "TEA-GREEN": 0}, {"MUG-RED": None}, {}])
def test_a_quote_reads_as_its_model_says_and_leaves_nothing_of_it_out(available):
    quote, written = a_quote(available)

    assert written == schemas.Quote.model_validate_json(written).model_dump_json().encode()
    assert list(quote) == list(schemas.Quote.model_fields)
    assert {tuple(line) for line in quote["lines"]} == {tuple(schemas.QuoteLine.model_fields)}


def test_a_quote_tells_prices_and_what_is_available_of_each_line():
    quote, _ = a_quote({"MUG-RED": 7})

    assert [(line["line_no"], line["total"]["amount"], line["available"]) for line in quote["lines"]] == [
        (1, 2598, 7),
        (2, 0, None),
        (3, 1299, 7),
    ]
    assert quote["total"] == {"amount": 3897, "currency": "EUR"}
