"""How parcels are read and written: as ``contracts.envelope`` says, but with the database driver's ids.

Those are Python's UUIDs too, and are made, hashed, compared and sent in C; pydantic alone would make Python's own of
what it reads, and looks for long what the driver's are when it writes one.
"""

from functools import cache
from typing import Any

from asyncpg.pgproto import pgproto
from pydantic import TypeAdapter
from pydantic_core import SchemaSerializer, SchemaValidator, core_schema

from contracts.envelope import Envelope, parcels_of
from contracts.event import Event

_ID = core_schema.no_info_after_validator_function(
    pgproto.UUID, core_schema.str_schema(), serialization=core_schema.to_string_ser_schema()
)


@cache
def reader(event: type[Event]) -> SchemaValidator:
    """Reads parcels of this event from JSON: lists of envelopes."""
    return SchemaValidator(_with_driver_s_ids(parcels_of(event).core_schema), _use_prebuilt=False)


@cache
def writer(event: type[Event]) -> SchemaSerializer:
    """Writes parcels of this event: lists of what an envelope holds, by name, all of it text but the event.

    Models of envelopes would take longer to make than their JSON, and what is in a dictionary longer to be recognised.
    """
    text = core_schema.typed_dict_field(core_schema.str_schema(), required=False)
    data = core_schema.typed_dict_field(_with_driver_s_ids(TypeAdapter(event).core_schema))
    envelope = core_schema.typed_dict_schema(dict.fromkeys(Envelope.model_fields, text) | {"data": data})
    return SchemaSerializer(core_schema.list_schema(envelope), _use_prebuilt=False)


def _with_driver_s_ids(schema: Any) -> Any:
    """A model brings its own reader and writer with it: they are made anew (``_use_prebuilt``)."""
    if isinstance(schema, dict):
        is_id = schema.get("type") == "uuid"
        return _ID if is_id else {name: _with_driver_s_ids(part) for name, part in schema.items()}
    return [_with_driver_s_ids(part) for part in schema] if isinstance(schema, list) else schema
