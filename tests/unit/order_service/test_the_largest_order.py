"""The largest order that anybody can place: what is told of it is one parcel, which is read."""

from datetime import UTC, datetime

from chassis.decisions import Cause
from chassis.ids import new_id
from chassis.outbox import Outbox, Told
from chassis.parcels import read
from contracts.envelope import PARCEL_BYTES
from contracts.orders import OrderConfirmed
from contracts.types import LINES, UNITS, OrderedLine
from order_service.domain import life, pricing
from tests.support.order_service import NOW, place_order, upserted

NAME = "\N{GRINNING FACE}" * 200
DEAREST = 1_000_000_000
CAUSE = Cause(new_id(), datetime(2026, 11, 20, tzinfo=UTC), "system", "r" * 64)


def test_the_largest_order_is_told_in_a_parcel_that_is_read():
    skus = [f"{'S' * 61}{number:03}" for number in range(LINES)]
    known = {sku: pricing.keep(None, upserted(sku, DEAREST, name=NAME)) for sku in skus}
    lines = tuple(OrderedLine(line_no=n, sku=sku, quantity=UNITS) for n, sku in enumerate(skus, 1))
    placed, created = life.place(place_order(lines=lines), pricing.price(lines, known), NOW)

    _, requested = life.await_payment(placed, NOW)
    _, confirmed = life.confirm(placed, NOW)

    told = [Told(event, CAUSE, 0, 1) for event in (*created, *requested, *confirmed)]
    parcels = [parcel for event in told for parcel in Outbox("order_service")._parcels(event.event.topic, told)]
    assert [(topic, count) for _, topic, _, count in parcels] == [(each.event.topic, 1) for each in told]
    assert [read(topic, body.encode())[0].data for _, topic, body, _ in parcels] == [each.event for each in told]
    assert max(len(body.encode()) for _, _, body, _ in parcels) <= PARCEL_BYTES
    assert [e.total.amount for e in confirmed if isinstance(e, OrderConfirmed)] == [LINES * UNITS * DEAREST]
