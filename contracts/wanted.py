"""What is wanted of a value, in words: whoever sends another one reads them instead of a pattern."""

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pydantic annotation: whatever is wrong with the value, these words are the error's message.

    They read on from the field's name: ``must be a currency …``. Annotations behind it speak for themselves.
    """

    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.custom_error_schema(handler(source), "not_wanted", custom_error_message=self.words)
