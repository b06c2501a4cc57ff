"""Every event: its name, its words, its teller, and its way through an envelope."""

import inspect
import json
import re
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

import pytest
from cloudevents.core.formats.json import JSONFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.accounts import UserErased
from contracts.catalogue import EVENTS, MODULES, TELLERS, UNHEARD, teller
from contracts.envelope import PARCEL_EVENTS, Envelope, dataschema, decode, encode
from contracts.event import Event
from contracts.notifications import NotificationDead
from contracts.orders import AboutOrder
from contracts.stock import StockLow
from contracts.types import Money, NotificationId, OrderId, PricedLine, UserId, order_number
from ordermill.setup import listeners
from tests.support.schemas import schema_of, values_of

# They name a state that was reached; all others what has happened.
STATES = {"StockLow", "NotificationDead"}
ID = UUID("019a0000-0000-7000-8000-000000000001")
events = pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)


def enveloped(data, number=1):
    return Envelope(
        id=UUID(int=number),
        type=data.topic,
        source=f"/{teller(data.topic)}",
        subject=data.subject,
        time=datetime(2026, 11, 20, 12, 0, 0, 125_000, tzinfo=UTC),
        dataschema=dataschema(type(data)),
        sequence="3",
        correlationid="req_1",
        causationid=ID,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        data=data,
    )


def any_parcel(event):
    """Parcels of 1 to 3 such events, as they were before they travelled."""
    some = st.lists(values_of(schema_of(event)), min_size=1, max_size=3)
    return some.map(lambda values: [enveloped(event.model_validate(v), n) for n, v in enumerate(values)])


@events
def test_an_event_says_in_a_sentence_of_its_own_what_has_happened(event):
    assert inspect.cleandoc(event.__dict__["__doc__"]).endswith(".")


@events
def test_an_event_is_a_noun_and_a_past_participle(event):
    assert event.__name__ in STATES or event.__name__.endswith("ed")
    assert re.fullmatch(r"[a-z]+\.[a-z]+(_[a-z]+)*", event.topic)
    assert event.__name__ in STATES or event.topic.endswith("ed")


@events
def test_an_event_never_changes(event):
    assert event.model_config["frozen"] is True
    assert event.model_config["extra"] == "ignore"


@events
def test_no_event_has_a_field_for_a_password_or_a_card(event):
    schema = json.dumps(event.model_json_schema())

    assert re.findall(r'"(\w*(?:password|secret|token|card|cvc|cvv)\w*)": \{', schema) == []


@events
def test_an_event_stands_in_the_file_of_the_service_that_tells_it(event):
    service = teller(event.topic)

    tellers = {teller(other.topic) for other in EVENTS.values() if other.__module__ == event.__module__}
    assert tellers == {service}


@events
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_parcel_arrives_as_it_was_told(event, data):
    parcel = data.draw(any_parcel(event))

    arrived = decode(event.topic, encode(parcel))

    assert [envelope.model_dump() for envelope in arrived] == [envelope.model_dump() for envelope in parcel]
    assert {type(envelope.data) for envelope in arrived} == {event}


@events
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_the_official_sdk_reads_every_event(event, data):
    parcel = data.draw(any_parcel(event))

    read = [JSONFormat().read(None, json.dumps(each)) for each in json.loads(encode(parcel))]

    assert [each.get_id() for each in read] == [str(envelope.id) for envelope in parcel]
    assert {(each.get_type(), each.get_source(), each.get_specversion()) for each in read} == {
        (event.topic, f"/{teller(event.topic)}", "1.0")
    }
    assert {each.get_extension("correlationid") for each in read} == {"req_1"}
    assert {each.get_time() for each in read} == {parcel[0].time}
    assert [each.get_data() for each in read] == [
        envelope.data.model_dump(mode="json", exclude_none=True) for envelope in parcel
    ]


@events
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_reader_ignores_fields_that_it_does_not_know(event, data):
    [envelope, *_] = data.draw(any_parcel(event))
    body = json.loads(encode([envelope]))
    body[0]["partitionkey"] = "x"
    body[0]["data"]["invented_later"] = {"n": 1}

    assert decode(event.topic, json.dumps(body).encode()) == decode(event.topic, encode([envelope]))


@events
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_an_event_has_a_subject(event, data):
    about = event.model_validate(data.draw(values_of(schema_of(event))))

    expected = getattr(about, "order_id", None) or getattr(about, "sku", None) or getattr(about, "user_id", None)
    assert about.subject == str(expected or about.notification_id)


def test_the_subject_of_a_notification_is_its_order_or_else_itself():
    alone = NotificationDead(notification_id=NotificationId(ID), template="stock_low")

    assert alone.subject == str(ID)
    assert NotificationDead(**{**dict(alone), "order_id": OrderId(UUID(int=1))}).subject == str(UUID(int=1))


def test_events_compare_by_value():
    assert UserErased(user_id=UserId(ID), locale="en") == UserErased(user_id=UserId(ID), locale="en")
    with pytest.raises(ValidationError):
        UserErased(user_id=UserId(ID), locale="en").locale = "de"


def test_an_event_without_a_subject_cannot_be_told():
    with pytest.raises(TypeError, match="abstract"):
        Event()


def test_a_topic_has_one_event():
    with pytest.raises(TypeError, match=r"two events claim the topic 'order\.created'"):

        class OrderCreatedAgain(AboutOrder):
            topic: ClassVar[str] = "order.created"

    assert EVENTS["order.created"].__name__ == "OrderCreated"


def test_the_catalogue_holds_every_event_of_the_contracts():
    written = {
        each
        for module in MODULES
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, Event) and "topic" in each.__dict__
    }

    assert set(EVENTS.values()) == written
    assert len(EVENTS) == 28


def test_nobody_tells_a_topic_that_no_service_owns():
    assert teller("refund.failed") == "payment_service"
    assert {topic.partition(".")[0] for topic in EVENTS} == set(TELLERS)
    with pytest.raises(KeyError):
        teller("weather.changed")


def test_what_no_service_listens_to_is_not_expected_to_be_routed():
    heard = {topic for topics in listeners().values() for topic in topics}

    assert set(EVENTS) - heard == UNHEARD
    assert heard <= set(EVENTS)


def test_a_parcel_of_another_topic_or_none_is_refused():
    parcel = encode([enveloped(StockLow(sku="MUG", warehouse="main", available=1, threshold=2))])

    with pytest.raises(ValidationError):
        decode("order.created", parcel)
    with pytest.raises(KeyError):
        decode("weather.changed", parcel)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"[{}]", b"\xff", b'[{"specversion": "1.0"}]'])
def test_what_is_no_parcel_is_refused(body):
    with pytest.raises(ValidationError):
        decode("stock.low", body)


def test_an_empty_parcel_cannot_be_told():
    with pytest.raises(IndexError):
        encode([])


def test_attributes_without_a_value_are_left_out():
    data = StockLow(sku="MUG", warehouse="main", available=1, threshold=2)
    envelope = enveloped(data).model_copy(update={"traceparent": None})

    [told] = json.loads(encode([envelope]))

    assert set(told) == {
        "specversion", "datacontenttype", "id", "type", "source", "subject", "time", "dataschema", "sequence",
        "correlationid", "causationid", "data",
    }  # fmt: skip
    assert told["time"] == "2026-11-20T12:00:00.125000Z"
    assert (told["dataschema"], PARCEL_EVENTS) == ("/contracts/stock.low/1", 100)


def test_an_orders_name_for_people_is_the_end_of_its_id():
    assert order_number(UUID(int=0)) == "00000-00000"
    assert order_number(UUID(int=(1 << 50) - 1)) == "ZZZZZ-ZZZZZ"
    assert order_number(UUID("019a0000-0000-7000-8000-00000000002a")) == "00000-0001A"


def test_a_lines_total_is_in_minor_units():
    line = PricedLine(line_no=1, sku="MUG", name="Mug", quantity=3, unit_price=Money(amount=1299, currency="EUR"))

    assert line.total == 3897
