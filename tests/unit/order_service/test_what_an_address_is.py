"""An address is in a country that there is."""

import pytest
from pydantic import ValidationError

from contracts.countries import COUNTRIES
from order_service.schemas import AddressGiven, OrderCreate

ADDRESS = {"name": "Ada", "line1": "1 Main St", "city": "Delft", "postal_code": "2611"}


@pytest.mark.parametrize("code", ["NL", "DE", "AX", "ZW"])
def test_a_country_that_is_assigned_is_taken(code):
    assert AddressGiven(**ADDRESS, country=code).country == code


@pytest.mark.parametrize("code", ["XX", "ZZ", "UK", "EU", "AA", "nl", "NLD", "", "1A"])
def test_a_country_that_is_not_assigned_is_refused(code):
    with pytest.raises(ValidationError, match="must be a country of ISO 3166-1"):
        AddressGiven(**ADDRESS, country=code)


def test_clients_are_told_which_there_are():
    schema = OrderCreate.model_json_schema()["$defs"]["AddressGiven"]["properties"]["country"]

    assert len(COUNTRIES) == 249
    assert schema["enum"] == sorted(COUNTRIES)
