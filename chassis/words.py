"""What a request that pydantic refused is told: what is wanted, in words that read on from the name of a field."""

from collections.abc import Mapping
from typing import Any

_WORDS = {
    "missing": "is required",
    "extra_forbidden": "is unknown",
    "string_type": "must be text",
    "string_unicode": "must be text",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("uuid_type", "uuid_parsing"), "must be a UUID"),
}
_OURS = {"value_error", "not_wanted"}


def wanted(error: Mapping[str, Any]) -> str:
    """What would be right instead of what this error of pydantic's is about; of the input it says nothing."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _OURS:
        return str(error["msg"]).removeprefix("Value error, ")
    if context.get("min_length") == 1:
        return "must not be empty"
    return _WORDS.get(kind, "is not what it must be").format(**context).replace("'", "")
