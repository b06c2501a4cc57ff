"""Settings come from the environment: a service's own name for one first, then the common name."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from chassis.settings import ServiceSettings, named


class Settings(ServiceSettings, alias_generator=named("order_service")):
    pay_by: timedelta = timedelta(minutes=30)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("ORDERMILL_DATABASE_URL", "postgresql://everybody")
    monkeypatch.setenv("ORDERMILL_BROKER_URL", "amqp://u:secret@broker")
    monkeypatch.setenv("ORDERMILL_EDGE_KEY", "t0ken")
    return monkeypatch


def test_a_common_name_is_everybodys():
    settings = Settings()

    assert settings.database_url.get_secret_value() == "postgresql://everybody"
    assert (settings.pay_by, settings.profile) == (timedelta(minutes=30), "production")


def test_a_services_own_name_comes_first(environment):
    environment.setenv("ORDERMILL_ORDER_SERVICE_DATABASE_URL", "postgresql://orders")
    environment.setenv("ORDERMILL_PAY_BY", "PT1M")
    environment.setenv("ORDERMILL_ORDER_SERVICE_PAY_BY", "PT2M")

    settings = Settings()

    assert settings.database_url.get_secret_value() == "postgresql://orders"
    assert settings.pay_by == timedelta(minutes=2)


def test_peers_are_given_as_json(environment):
    environment.setenv("ORDERMILL_PEERS", '{"auth_service": "http://127.0.0.1:1"}')

    assert Settings().peers == {"auth_service": "http://127.0.0.1:1"}


@pytest.mark.parametrize("name", ["DATABASE_URL", "BROKER_URL", "EDGE_KEY"])
def test_no_secret_has_a_default(environment, name):
    environment.delenv(f"ORDERMILL_{name}")

    with pytest.raises(ValidationError):
        Settings()


def test_a_secret_may_stand_in_a_file(environment, tmp_path):
    environment.setenv("ORDERMILL_SECRETS_DIR", str(tmp_path))
    environment.delenv("ORDERMILL_EDGE_KEY")
    environment.delenv("ORDERMILL_DATABASE_URL")
    (tmp_path / "ORDERMILL_EDGE_KEY").write_text("from a file\n")
    (tmp_path / "ORDERMILL_DATABASE_URL").write_text("postgresql://everybody")
    (tmp_path / "ORDERMILL_ORDER_SERVICE_DATABASE_URL").write_text("postgresql://orders")
    (tmp_path / "ORDERMILL_BROKER_URL").write_text("amqp://file")

    settings = Settings()

    assert settings.edge_key.get_secret_value() == "from a file"
    assert settings.database_url.get_secret_value() == "postgresql://orders"
    assert settings.broker_url.get_secret_value() == "amqp://u:secret@broker"


def test_an_empty_key_is_none(environment):
    environment.setenv("ORDERMILL_EDGE_KEY", "")

    with pytest.raises(ValidationError):
        Settings()


def test_secrets_are_not_shown():
    assert "secret" not in repr(Settings()).replace("Secret", "")
    assert "t0ken" not in repr(Settings())


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        Settings().profile = "local"
