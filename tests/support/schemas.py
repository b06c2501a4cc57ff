"""JSON schemas of events: how they may change inside a version, values that they allow, and the committed ones.

`python -m tests.support.schemas` writes the schemas of new events, and of those that have grown as they may.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from contracts.catalogue import EVENTS
from contracts.event import Event

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"
Schema = Mapping[str, Any]
_WORDS = {"title", "description"}


def schema_of(event: type[Event]) -> dict[str, Any]:
    """The event's schema with every reference resolved, and without words for people."""
    schema = event.model_json_schema(mode="serialization")
    return _resolved(schema, schema.get("$defs", {}))


def _resolved(node: Any, known: Schema) -> Any:
    if isinstance(node, list):
        return [_resolved(each, known) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _resolved(known[node["$ref"].rpartition("/")[2]], known)
    if "properties" in node:
        properties = {name: _resolved(each, known) for name, each in node["properties"].items()}
        return {"type": "object", "properties": properties, "required": sorted(node.get("required", []))}
    return {key: _resolved(value, known) for key, value in node.items() if key not in _WORDS}


def breaks(old: Schema, new: Schema, place: str = "") -> Iterator[str]:
    """What in the new schema a reader of the old one, or a reader of old events, stumbles over."""
    if "properties" not in old or "properties" not in new:
        yield from _compared(old, new, place)
        return
    for name, before in old["properties"].items():
        if name not in new["properties"]:
            yield f"{place}/{name} was removed, or renamed"
        else:
            yield from breaks(before, new["properties"][name], f"{place}/{name}")
    for name in sorted({*old["required"]} & {*new["properties"]} - {*new["required"]}):
        yield f"{place}/{name} may be missing now"
    for name in sorted({*new["required"]} - {*old["required"]}):
        yield f"{place}/{name} is required now"


def _compared(old: Schema, new: Schema, place: str) -> Iterator[str]:
    if "items" in old and "items" in new:
        yield from breaks(old["items"], new["items"], f"{place}/*")
    if {**old, "items": None} != {**new, "items": None} or ("items" in old) != ("items" in new):
        yield f"{place} has another type now"


def values_of(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that the schema allows, as JSON."""
    if "properties" in schema:
        required = {name: values_of(schema["properties"][name]) for name in schema["required"]}
        optional = {name: values_of(each) for name, each in schema["properties"].items() if name not in required}
        return st.fixed_dictionaries(required, optional=optional)
    if "anyOf" in schema:
        return st.one_of(*(values_of(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return _plain(schema)


def _plain(schema: Schema) -> st.SearchStrategy[Any]:
    match schema["type"]:
        case "array":
            return st.lists(values_of(schema["items"]), max_size=min(schema.get("maxItems", 4), 4))
        case "integer":
            return st.integers(schema.get("minimum"), schema.get("maximum"))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    return st.uuids().map(str) if schema.get("format") == "uuid" else _texts(schema)


def _texts(schema: Schema) -> st.SearchStrategy[str]:
    most = schema.get("maxLength")
    if "pattern" not in schema:
        return st.text(min_size=schema.get("minLength", 0), max_size=most)
    fits = st.from_regex(schema["pattern"], fullmatch=True)
    return fits.filter(lambda text: len(text) <= most) if most else fits


def write() -> None:
    """Writes what is new; what must not change is left, so that its test goes on failing."""
    GOLDEN.mkdir(exist_ok=True)
    for topic, event in EVENTS.items():
        file, schema = GOLDEN / f"{topic}.json", schema_of(event)
        if not file.exists() or not list(breaks(json.loads(file.read_text()), schema)):
            file.write_text(json.dumps(schema, indent=1) + "\n")


if __name__ == "__main__":
    write()
