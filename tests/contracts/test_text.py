"""What people write is there to be read; what was written before anybody asked stays readable."""

import sys
import unicodedata
from typing import Annotated

import pytest
from pydantic import TypeAdapter, ValidationError

from contracts.envelope import decode, encode
from contracts.stock import ProductUpserted
from contracts.text import ONE_LINE, is_readable
from contracts.types import UnitPrice
from tests.support.envelopes import enveloped

LINE = TypeAdapter(Annotated[str, ONE_LINE])
DIRECTING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def test_of_all_characters_those_are_refused_that_are_there_for_something_else_than_to_be_read():
    refused = {code for code in range(sys.maxunicode + 1) if not is_readable(f"a{chr(code)}b")}

    of_kind = {
        code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in {"Cc", "Cs", "Zl", "Zp"}
    }
    assert refused == (of_kind | DIRECTING) - set(b"\t\n\r")


@pytest.mark.parametrize("text", ["a\tb", "a\nb", "a\r", "\n", "a\u2028b", "a\u2029b", "a\x85b", "a\0", "a\u202eb"])
def test_what_is_one_line_breaks_nowhere_and_turns_nothing_round(text):
    with pytest.raises(ValidationError, match="must be one line, without control characters"):
        LINE.validate_python(text)


@pytest.mark.parametrize("text", ["", "Ann", "می‌خواهم", "👩‍👩‍👧", "اَلْعَرَبِيَّةُ", "a\u00a0b", "東京　都"])
def test_a_name_may_be_of_any_language(text):
    assert LINE.validate_python(text) == text


def test_an_event_that_is_on_its_way_with_such_a_name_is_read():
    told = ProductUpserted(
        sku="MUG", name="Red\nmug\u202e", price=UnitPrice(amount=1, currency="EUR"), active=True, version=1
    )

    assert decode("product.upserted", encode([enveloped(told)]))[0].data == told
