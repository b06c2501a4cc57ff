"""No part of the shop has a secret of its own making: whoever forgets to give one is told, and nothing starts."""

from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr, ValidationError

from gateway.settings import Settings as Gateway
from ordermill.audit.settings import Settings as Auditor
from ordermill.services import SERVICES, load

SETTINGS = {**{name: load(name).settings for name in SERVICES}, "gateway": Gateway, "auditor": Auditor}
SECRETS = [
    (owner, name)
    for owner, settings in SETTINGS.items()
    for name, field in settings.model_fields.items()
    if field.annotation in {SecretStr, SecretStr | None}
]


OPENS = ("secret", "token", "password", "key")


def test_what_is_a_secret_by_its_name_is_one():
    told = ("secret", "token", "password", "database_url", "broker_url")
    named = {
        (owner, name) for owner, settings in SETTINGS.items() for name in settings.model_fields if name.endswith(told)
    }

    assert named <= set(SECRETS)
    assert len(named) > 3 * len(SERVICES)


@pytest.mark.parametrize(("owner", "name"), SECRETS)
def test_no_secret_has_a_default(owner, name):
    field = SETTINGS[owner].model_fields[name]

    assert field.is_required() or field.default is None or _is_harmless(field.default)


def _is_harmless(default):
    """An address in which nobody is named, as in `smtp://127.0.0.1:25`."""
    address = urlsplit(default.get_secret_value())
    return bool(address.scheme) and address.username is None and address.password is None


@pytest.mark.parametrize(("owner", "name"), [one for one in SECRETS if one[1].endswith(OPENS)])
def test_a_secret_that_is_empty_is_none(owner, name):
    """With which anybody could sign a provider's webhooks, or call themselves a service."""
    needed = {field: "postgresql://given" for o, field in SECRETS if o == owner}

    with pytest.raises(ValidationError):
        SETTINGS[owner](**{**needed, name: ""})
    SETTINGS[owner](**needed)
