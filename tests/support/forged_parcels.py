"""Parcels as somebody tells them who holds a service: right but for one value, which is none that was thought of."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from chassis.ids import marked_id, new_id
from contracts.catalogue import EVENTS, teller
from tests.support.schemas import schema_of

DEEP = "[" * 5_000 + "]" * 5_000
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
# As JSON, since some are none that Python would write.
VALUES = {
    "nothing": '""',
    "NUL": '"\\u0000"',
    "NUL within": '"A\\u0000B"',
    "half a character": '"\\ud800"',
    "a control character": '"\\u0085"',
    "a long text": f'"{"A" * 300}"',
    "a text that no index takes": json.dumps("".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(20_000))),
    "zero": "0",
    "less than nothing": "-1",
    "no int": str(2**31),
    "no bigint": str(2**63),
    "a number of thirty digits": "9" * 30,
    "a number of four thousand digits": "9" * 4_000,
    "a number of five thousand digits": "9" * 5_000,
    "no number": "NaN",
    "no end": "Infinity",
    "a fraction": "1.5",
    "null": "null",
    "a list": "[]",
    "deep lists": DEEP,
    "an object": "{}",
    "the first moment": '"0001-01-01T00:00:00+23:59"',
    "the last moment": '"9999-12-31T23:59:59.999999-23:59"',
    "before Christ": '"-4000-01-01T00:00:00Z"',
    "never": '"infinity"',
    "an id in braces": f'"{{{new_id()}}}"',
    "an id as a URN": f'"urn:uuid:{new_id()}"',
    "the last id": '"ffffffff-ffff-ffff-ffff-ffffffffffff"',
    "the first id": '"00000000-0000-0000-0000-000000000000"',
}
_PLACE = "@here@"


def forgeries(topics: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
    """Topics and bodies, each with what is wrong with it; the envelope is the same for all, and is forged once."""
    for topic in topics:
        for what, body in _forged(topic, {"data"} if topic != topics[0] else None):
            yield topic, f"{topic} {what}", body


def _forged(topic: str, places: set[str] | None) -> Iterator[tuple[str, bytes]]:
    event = _event(topic)
    for path in (path for path in _paths(event) if places is None or path[0] in places):
        told = json.dumps([_with(event, path, _PLACE)])
        for what, value in VALUES.items():
            yield f"{'.'.join(map(str, path))}: {what}", told.replace(f'"{_PLACE}"', value).encode()


def parcel_of(topic: str) -> str:
    """A new id of one of its teller's parcels."""
    return str(marked_id(new_id(), teller(topic)))


def _event(topic: str) -> dict[str, Any]:
    data = _value(schema_of(EVENTS[topic]))
    envelope = {"id": str(new_id()), "type": topic, "source": f"/{teller(topic)}", "subject": "MUG-RED"}
    rest = {"time": "2026-01-01T00:00:00Z", "dataschema": "x", "sequence": "1", "correlationid": "req_1"}
    trace = {"causationid": str(new_id()), "traceparent": TRACE, "tracestate": "x=y"}
    return {**envelope, **rest, **trace, "data": data}


def _value(schema: Any) -> Any:
    """One that the schema allows."""
    if "properties" in schema:
        return {name: _value(each) for name, each in schema["properties"].items()}
    if "anyOf" in schema:
        return _value(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    plain = {"array": [], "integer": 1, "boolean": True, "string": "MUG-RED"}
    if schema["type"] == "array":
        return [_value(schema["items"])]
    if schema.get("format") == "uuid":
        return str(new_id())
    return "EUR" if "{3}" in schema.get("pattern", "") else plain[schema["type"]]


def _paths(value: Any, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*before, key)
        yield from _paths(each, (*before, key))


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    changed = json.loads(json.dumps(value))
    *before, last = path
    thing = changed
    for key in before:
        thing = thing[key]
    thing[last] = new
    return changed
