"""Secrets come from outside: nothing that opens a door has a default."""

from typing import Any

import pytest
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from chassis.settings import ServiceSettings, Told
from gateway.settings import Settings as GatewaySettings
from ordermill.audit.settings import Settings as AuditorSettings
from ordermill.services import SERVICES, load

SETTINGS: list[Any] = [ServiceSettings, GatewaySettings, AuditorSettings, *(load(name).settings for name in SERVICES)]
SECRET_NAMES = ("password", "secret", "token", "key", "url")
OPEN = {"provider_url", "webhook_url"}  # addresses without a password


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.__module__)
def test_no_secret_has_a_default_that_opens_anything(settings):
    defaults = [field.default for field in settings.model_fields.values() if field.annotation is SecretStr]

    assert [one for one in defaults if one is not PydanticUndefined and "@" in one.get_secret_value()] == []
    assert issubclass(settings, Told)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.__module__)
def test_whatever_is_called_like_a_secret_is_one(settings):
    texts = {name for name, field in settings.model_fields.items() if field.annotation in {str, str | None}}

    assert {name for name in texts - OPEN if any(part in name for part in SECRET_NAMES)} == set()
