"""How what was told is cut into parcels: by topic, at 100 events, at 256 KiB."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from chassis.decisions import Cause
from chassis.ids import made_at, mark, marked_as, new_id
from chassis.outbox import Outbox, Told
from contracts.envelope import PARCEL_BYTES, decode
from contracts.orders import OrderShipped
from contracts.payments import PaymentFailed
from contracts.types import OrderId, UserId
from tests.support.ledger import refunded

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def told(event, cause=None, place=0, sequence=1):
    return Told(event, cause or Cause(new_id(), NOW, "system", "req_1", TRACE), place, sequence)


def declined(characters):
    # Not validated, since none is as large within the bounds of its fields.
    return PaymentFailed.model_construct(
        order_id=OrderId(uuid4()),
        customer_id=UserId(uuid4()),
        attempt=1,
        code="card_declined",
        retryable=True,
        message="x" * characters,
    )


def parcels(*all_told):
    topics = dict.fromkeys(t.event.topic for t in all_told)
    return [row for topic in topics for row in Outbox("payment_service")._parcels(topic, all_told)]


def test_each_topic_has_parcels_of_its_own_in_the_order_of_telling():
    first, other, second = told(refunded(amount=1)), told(declined(1)), told(refunded(amount=2))

    rows = parcels(first, other, second)

    assert [(topic, count) for _, topic, _, count in rows] == [("refund.succeeded", 2), ("payment.failed", 1)]
    assert [e.data.amount.amount for e in decode("refund.succeeded", rows[0][2].encode())] == [1, 2]


def test_a_parcel_is_as_old_as_its_first_event_has_its_tellers_mark_and_an_id_that_nobody_foresees():
    event = told(refunded())
    [(parcel, topic, body, _)], [(again, *_)] = parcels(event, told(refunded())), parcels(event, told(refunded()))
    first = decode(topic, body.encode())[0].id

    assert made_at(parcel) == made_at(again) == made_at(first)
    assert len({parcel, again, first}) == 3
    assert marked_as(parcel) == marked_as(again) == mark("payment_service")


@pytest.mark.parametrize(("events", "cut"), [(1, [1]), (100, [100]), (101, [100, 1]), (250, [100, 100, 50])])
def test_a_parcel_holds_at_most_a_hundred_events(events, cut):
    rows = parcels(*(told(refunded()) for _ in range(events)))

    assert [count for *_, count in rows] == cut
    assert len({parcel for parcel, *_ in rows}) == len(cut)


def test_a_parcel_holds_at_most_256_kib():
    rows = parcels(*(told(declined(40_000)) for _ in range(10)))

    assert [count for *_, count in rows] == [5, 5]
    assert all(len(body) <= PARCEL_BYTES for _, _, body, _ in rows)


def test_an_event_that_alone_is_larger_than_a_parcel_cannot_be_told():
    with pytest.raises(ValueError, match=r"payment\.failed of 26"):
        parcels(told(declined(1)), told(declined(PARCEL_BYTES)), told(declined(1)))


def test_an_envelope_says_who_told_what_about_whom_and_why():
    cause, event = Cause(UUID(int=7 << 80), NOW, "usr_1", "req_9", TRACE), refunded()

    [(_, topic, body, _)] = parcels(told(event, cause, place=2, sequence=5))

    [envelope] = decode(topic, body.encode())
    assert envelope.data == event
    assert envelope.model_dump(exclude={"data"}) == {
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "id": cause.derive("refund.succeeded", 2),
        "type": "refund.succeeded",
        "source": "/payment_service",
        "subject": str(event.order_id),
        "time": NOW,
        "dataschema": "/contracts/refund.succeeded/1",
        "sequence": "5",
        "correlationid": "req_9",
        "causationid": cause.id,
        "traceparent": TRACE,
        "tracestate": None,
    }


def test_one_cause_tells_two_events_of_a_topic_under_two_ids():
    cause = Cause(new_id(), NOW, "system", "req_1")
    event = OrderShipped(order_id=OrderId(uuid4()), shipments=())

    [(_, topic, body, _)] = parcels(told(event, cause, place=0), told(event, cause, place=1))

    first, second = decode(topic, body.encode())
    assert first.id != second.id
