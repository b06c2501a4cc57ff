"""The JSON of an order that is written in one go: what the documented model of it says, byte by byte."""

import json
from datetime import timedelta

import pytest

from chassis.ids import new_id
from contracts.types import OrderId
from order_service import schemas
from order_service.answers import order_json
from order_service.domain.life import erase
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
