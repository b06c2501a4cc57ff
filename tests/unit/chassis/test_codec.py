"""What parcels are read and written with is what the contracts say, for every event; but for the ids."""

from datetime import UTC, datetime

import pytest
from asyncpg.pgproto import pgproto
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from chassis.codec import reader
from chassis.decisions import Cause
from chassis.ids import new_id
from chassis.outbox import Outbox, Told
from contracts.catalogue import EVENTS
from contracts.envelope import decode, encode
from tests.support.envelopes import enveloped
from tests.support.ledger import refunded
from tests.support.schemas import schema_of, values_of

NOW = datetime(2026, 1, 1, 12, 30, 0, 125_000, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
events = pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
several = settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow], deadline=None)


@events
@several
@given(data=st.data())
def test_what_is_told_is_byte_for_byte_what_the_contracts_write(event, data):
    fact = event.model_validate(data.draw(values_of(schema_of(event))))
    trace = data.draw(st.sampled_from([TRACE, None]))
    [(_, topic, body, _)] = Outbox("a")._parcels(event.topic, [Told(fact, Cause(new_id(), NOW, "a", "r", trace), 0, 1)])

    assert encode(decode(topic, body.encode())).decode() == body


@events
@several
@given(data=st.data())
def test_what_is_heard_is_what_the_contracts_read(event, data):
    body = encode([enveloped(event.model_validate(data.draw(values_of(schema_of(event)))))])

    assert reader(event).validate_json(body) == decode(event.topic, body)


def test_ids_that_are_heard_are_the_drivers():
    [envelope] = reader(type(refunded())).validate_json(encode([enveloped(refunded())]))

    assert {type(envelope.id), type(envelope.causationid), type(envelope.data.order_id)} == {pgproto.UUID}


@pytest.mark.parametrize("wrong", ["1", "z" * 32, "0" * 40, ""])
def test_what_is_no_id_is_not_read(wrong):
    told = enveloped(refunded())
    body = encode([told]).replace(str(told.id).encode(), wrong.encode())

    with pytest.raises(ValidationError, match="UUID"):
        reader(type(refunded())).validate_json(body)
