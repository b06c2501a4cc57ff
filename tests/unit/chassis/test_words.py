"""What is wanted, in words: of the input they say nothing."""

from datetime import date
from typing import Annotated

import pytest
from pydantic import BaseModel, Field, ValidationError

from chassis.words import wanted
from contracts.countries import Country
from contracts.types import CancelReason, Currency, Sku
from contracts.wanted import Wanted


class Asked(BaseModel, extra="forbid"):
    sku: Sku = "MUG"
    country: Country = "DE"
    currency: Currency = "EUR"
    reason: CancelReason = CancelReason.CUSTOMER
    name: Annotated[str, Field(min_length=1, max_length=3)] = "x"
    code: Annotated[str, Field(min_length=2, pattern="^'[a-z]+'$"), Wanted("must be a code")] = "'ab'"
    letters: Annotated[str, Field(pattern="^[a-z]{2}$")] = "ab"
    count: Annotated[int, Field(ge=2, le=4)] = 2
    tags: Annotated[list[str], Field(min_length=2, max_length=2)] = ["a", "b"]
    lines: Annotated[list[str], Field(min_length=1)] = ["a"]
    at: float = 0.0
    on: date = date(2026, 1, 31)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sku": "mug red"}, "must be a sku: capital letters, digits and hyphens, such as MUG-RED"),
        ({"sku": None}, "must be a sku: capital letters, digits and hyphens, such as MUG-RED"),
        ({"country": "Germany"}, "must be a country of ISO 3166-1 in two letters, such as DE"),
        ({"country": "XX"}, "must be a country of ISO 3166-1 in two letters, such as DE"),
        ({"currency": "euro"}, "must be a currency of ISO 4217, such as EUR"),
        ({"reason": "bored"}, "must be customer, operator, payment_failed or deadline"),
        ({"name": ""}, "must not be empty"),
        ({"name": "long"}, "must have at most 3 characters"),
        ({"name": 7}, "must be text"),
        ({"code": "x"}, "must be a code"),
        ({"letters": "x"}, "must match ^[a-z]{2}$"),
        ({"count": 1}, "must be 2 or more"),
        ({"count": 5}, "must be 4 or less"),
        ({"count": "many"}, "must be a whole number"),
        ({"tags": ["a"]}, "must have at least 2 entries"),
        ({"tags": ["a", "b", "c"]}, "must have at most 2 entries"),
        ({"tags": "a"}, "must be a list"),
        ({"lines": []}, "must not be empty"),
        ({"colour": "red"}, "is unknown"),
        ({"at": "noon"}, "must be a number"),
        ({"on": "noon"}, "is not what it must be"),
    ],
)
def test_what_is_wanted_is_said(given, said):
    with pytest.raises(ValidationError) as refused:
        Asked(**given)

    assert [wanted(error) for error in refused.value.errors()] == [said]
