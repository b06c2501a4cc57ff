"""What an event holds has a bound, each text, number and list: who tells one can make nobody else keep more."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_core import to_json

from chassis.parcels import read
from contracts.catalogue import EVENTS, teller
from contracts.envelope import PARCEL_BYTES, Envelope, decode
from tests.support.bounds import largest_of, unbounded
from tests.support.schemas import schema_of

BOUNDS = {"maxLength", "maxItems", "maximum", "minimum"}
NAMES = {"type": "string", "maxLength": 40}
topics = pytest.mark.parametrize("topic", sorted(EVENTS))


def travelling(topic: str) -> dict[str, Any]:
    return schema_of(Envelope[EVENTS[topic]])


def largest(topic: str, letter: str = "\N{GRINNING FACE}") -> dict[str, Any]:
    return {**largest_of(travelling(topic), letter), "type": topic, "source": f"/{teller(topic)}"}


def without_one_bound(schema: Any) -> Iterator[Any]:
    """Copies of a schema, each without another one of its bounds."""
    if isinstance(schema, list):
        for at, each in enumerate(schema):
            yield from ([*schema[:at], less, *schema[at + 1 :]] for less in without_one_bound(each))
    if isinstance(schema, dict):
        yield from ({key: schema[key] for key in schema.keys() - {bound}} for bound in BOUNDS & schema.keys())
        yield from ({**schema, key: less} for key, each in schema.items() for less in without_one_bound(each))


@topics
def test_whatever_an_event_holds_has_a_bound(topic):
    assert list(unbounded(travelling(topic))) == []


@topics
def test_no_bound_can_be_taken_away_unseen(topic):
    loosened = list(without_one_bound(travelling(topic)))

    assert len(loosened) >= 9
    assert [schema for schema in loosened if not list(unbounded(schema))] == []


@pytest.mark.parametrize(
    ("schema", "places"),
    [
        ({"type": "string", "pattern": "^[A-Z+*]{1,3}$"}, []),
        ({"type": "string", "pattern": "^[A-Z]+$"}, [""]),
        ({"type": "string", "pattern": "^[A-Z]{1,}$"}, [""]),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, [""]),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 2}, ["/items"]),
        ({"type": "object", "additionalProperties": {"type": "string"}}, ["/additionalProperties", ""]),
        ({"type": "object", "additionalProperties": NAMES, "propertyNames": NAMES, "maxProperties": 20}, []),
        ({"type": "object", "additionalProperties": NAMES, "propertyNames": NAMES}, [""]),
        ({}, [""]),
    ],
)
def test_a_place_without_a_bound_is_seen(schema, places):
    assert list(unbounded(schema)) == places


@topics
def test_the_largest_event_fits_into_a_parcel(topic):
    assert len(to_json([largest(topic, "\x01")])) <= PARCEL_BYTES  # no letter takes more bytes in JSON


@topics
def test_the_largest_event_is_read_and_one_that_is_larger_is_not(topic):
    told = largest(topic)

    [envelope] = read(topic, to_json([told]))

    assert json.loads(envelope.data.model_dump_json()) == told["data"]
    with pytest.raises(ValidationError, match="at most 255 characters"):
        decode(topic, to_json([{**told, "correlationid": "x" * 256}]))


@pytest.mark.parametrize(
    ("topic", "field", "value"),
    [
        ("product.upserted", "name", "N" * 201),
        ("product.upserted", "price", {"amount": 1_000_000_001, "currency": "EUR"}),
        ("refund.failed", "code", "x" * 201),
        ("order.shipped", "shipments", ["019a0000-0000-7000-8000-000000000001"] * 1_001),
        ("stock.low", "available", 2**53),
    ],
)
def test_what_breaks_a_bound_is_not_read(topic, field, value):
    told = largest(topic)

    with pytest.raises(ValueError, match=f"data.{field}"):
        read(topic, to_json([{**told, "data": {**told["data"], field: value}}]))
