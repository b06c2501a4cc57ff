"""What bounds the values that a JSON schema allows, and the largest of them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_BOUNDED_BY = {
    "integer": {"minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "array": {"items", "maxItems"},
    "object": {"additionalProperties", "propertyNames", "maxProperties"},
    "boolean": set[str](),
    "null": set[str](),
}
_OF_A_FORMAT = {"uuid": "0199ffff-ffff-7fff-bfff-ffffffffffff", "date-time": "2026-11-20T12:00:00.125000Z"}
_TRACEPARENT = f"00-{'a' * 32}-{'a' * 16}-01"
_MOST = 200


def unbounded(schema: Schema, place: str = "") -> Iterator[str]:
    """Where a value that the schema allows may be as large as whoever sends it likes."""
    for name, each in schema.get("properties", {}).items():
        yield from unbounded(each, f"{place}/{name}")
    for each in schema.get("anyOf", ()):
        yield from unbounded(each, place)
    for inner in ("items", "additionalProperties", "propertyNames"):
        if inner in schema:
            yield from unbounded(schema[inner], f"{place}/{inner}")
    if not {"properties", "anyOf", "enum", "const"} & schema.keys() and not _has_a_bound(schema):
        yield place


def _has_a_bound(schema: Schema) -> bool:
    if schema.get("type") == "string":
        outside = re.sub(r"\[[^]]*\]", "", schema.get("pattern", "*"))
        return bool({"maxLength", "format"} & schema.keys()) or re.search(r"[*+]|,\}", outside) is None
    return "type" in schema and _BOUNDED_BY[schema["type"]] <= schema.keys()


def largest_of(schema: Schema, letter: str) -> Any:
    """The value that takes the most bytes, of such letters where any will do. It has to have its bounds."""
    match schema:
        case {"properties": properties}:
            return {name: largest_of(each, letter) for name, each in properties.items()}
        case {"anyOf": [first, *_]}:
            return largest_of(first, letter)
        case {"enum": words}:
            return max(words, key=len)
        case {"items": each, "maxItems": most}:
            return [largest_of(each, letter)] * most
        case {"maximum": most}:
            return most
    return _longest(schema, letter) if schema["type"] == "string" else False


def _longest(schema: Schema, letter: str) -> str:
    if "format" in schema:
        return _OF_A_FORMAT[schema["format"]]
    if "pattern" not in schema:
        return letter * int(schema["maxLength"])
    most = schema.get("maxLength", _MOST)
    same = [each * length for length in range(most + 1) for each in ("A", "a", letter)]
    fits = (
        text
        for text in (*same, *(f"a_{text}" for text in same), "aa-AA", _TRACEPARENT)
        if len(text) <= most and re.fullmatch(schema["pattern"], text)
    )
    return max(fits, key=len)
