"""An address is in a country that there is."""

import pytest
from pydantic import ValidationError

from contracts.countries import COUNTRIES
from order_service.schemas import AddressGiven, OrderCreate

ADDRESS = {"name": "Ada", "line1": "1 Main St", "city": "Delft", "postal_code": "2611"}


@pytest.mark.parametrize("code", ["NL", "DE", "AX", "ZW"])
def test_a_country_that_is_assigned_is_taken(code):
    assert AddressGiven(**ADDRESS, country=code).country == code


@pytest.mark.parametrize("code", ["XX", "ZZ", "UK", "EU", "AA"])
def test_a_country_that_is_not_assigned_is_refused(code):
    with pytest.raises(ValidationError, match=f"{code} is no country: ISO 3166-1 does not assign it"):
        AddressGiven(**ADDRESS, country=code)


@pytest.mark.parametrize("code", ["nl", "NLD", "", "1A"])
def test_what_is_no_code_at_all_is_refused_as_such(code):
    with pytest.raises(ValidationError, match="should match pattern"):
        AddressGiven(**ADDRESS, country=code)


def test_clients_are_told_which_there_are():
    schema = OrderCreate.model_json_schema()["$defs"]["AddressGiven"]["properties"]["country"]

    assert len(COUNTRIES) == 249
    assert schema["enum"] == sorted(COUNTRIES)
