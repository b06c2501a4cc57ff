"""Events may only grow: the committed schemas, and the rule itself."""

import json

import pytest

from contracts.catalogue import EVENTS
from tests.support.schemas import GOLDEN, breaks, schema_of

MONEY = {
    "type": "object",
    "properties": {"amount": {"type": "integer", "minimum": 0}, "currency": {"type": "string"}},
    "required": ["amount", "currency"],
}
OLD = {
    "type": "object",
    "properties": {
        "order_id": {"type": "string", "format": "uuid"},
        "total": MONEY,
        "lines": {"type": "array", "items": MONEY},
        "reason": {"type": "string", "enum": ["a", "b"]},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    },
    "required": ["lines", "order_id", "reason", "total"],
}
TEXT = {"type": "string"}


def changed(place, value=None):
    """A copy of the old schema with something else at this place; None takes it away."""
    schema = json.loads(json.dumps(OLD))
    *path, last = place.split(".")
    node = schema
    for step in path:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return schema


@pytest.mark.parametrize("topic", sorted(EVENTS))
def test_an_event_still_means_what_was_committed(topic):
    golden = json.loads((GOLDEN / f"{topic}.json").read_text())

    assert list(breaks(golden, schema_of(EVENTS[topic]))) == []


def test_every_event_has_a_committed_schema_and_none_has_gone():
    assert {file.stem for file in GOLDEN.glob("*.json")} == set(EVENTS), "python -m tests.support.schemas"


@pytest.mark.parametrize(
    "new",
    [
        OLD,
        changed("properties.added", TEXT),
        changed("properties.total.properties.added", TEXT),
        changed("properties.lines.items.properties.added", TEXT),
    ],
)
def test_a_schema_may_grow_by_what_is_optional(new):
    assert list(breaks(OLD, new)) == []


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (changed("properties.note"), ["/note was removed, or renamed"]),
        (changed("properties.total.properties.amount"), ["/total/amount was removed, or renamed"]),
        (changed("properties.order_id.format"), ["/order_id has another type now"]),
        (changed("properties.order_id", MONEY), ["/order_id has another type now"]),
        (changed("properties.total", TEXT), ["/total has another type now"]),
        (changed("properties.total.properties.amount.minimum", 1), ["/total/amount has another type now"]),
        (changed("properties.lines.items.properties.amount.type", "string"), ["/lines/*/amount has another type now"]),
        (changed("properties.lines", TEXT), ["/lines has another type now"]),
        (changed("properties.lines.items", TEXT), ["/lines/* has another type now"]),
        (changed("properties.reason.enum", ["a", "b", "c"]), ["/reason has another type now"]),
        (changed("properties.note", TEXT), ["/note has another type now"]),
        (changed("required", ["lines", "order_id", "total"]), ["/reason may be missing now"]),
        (changed("required", [*OLD["required"], "note"]), ["/note is required now"]),
        (changed("properties.lines.items.required", ["amount"]), ["/lines/*/currency may be missing now"]),
    ],
)
def test_a_schema_may_not_change_otherwise(new, told):
    assert list(breaks(OLD, new)) == told


def test_a_field_that_is_new_may_not_be_required():
    new = changed("properties.added", TEXT)
    new["required"] = [*OLD["required"], "added"]

    assert list(breaks(OLD, new)) == ["/added is required now"]


def test_a_field_that_was_renamed_is_one_that_was_removed():
    new = changed("properties.order_id")
    new["properties"]["order"] = OLD["properties"]["order_id"]
    new["required"] = ["lines", "order", "reason", "total"]

    assert list(breaks(OLD, new)) == ["/order_id was removed, or renamed", "/order is required now"]
