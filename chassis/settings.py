"""What a process is told from outside, read once: variables of the environment with the prefix ORDERMILL_, and files.

A file in the folder that ORDERMILL_SECRETS_DIR names is called as the variable that it stands for, and holds its value:
so a secret need be in nobody's environment. A variable wins over a file.
"""

import os
from typing import Literal

from pydantic import AliasChoices, AliasGenerator, Field, SecretStr
from pydantic_settings import BaseSettings, SecretsSettingsSource, SettingsConfigDict
from pydantic_settings import PydanticBaseSettingsSource as Source

SECRETS = "ORDERMILL_SECRETS_DIR"


def named(service: str) -> AliasGenerator:
    """The environment's names of a service's: ``class Settings(ServiceSettings, alias_generator=named("x"))``."""

    def names(field: str) -> AliasChoices:
        return AliasChoices(f"ORDERMILL_{service}_{field}".upper(), f"ORDERMILL_{field}".upper())

    return AliasGenerator(validation_alias=names)


class Told(BaseSettings):
    """Settings from the environment, and from files."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: Source,
        env_settings: Source,
        dotenv_settings: Source,  # noqa: ARG003 -- none of ours are read from such a file
        file_secret_settings: Source,  # noqa: ARG003 -- its folder would be the one of the import
    ) -> tuple[Source, ...]:
        """Where settings come from, the first one first."""
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=os.environ.get(SECRETS))


class LogSettings(BaseSettings):
    """What a process tells of its work: lines for machines (``json``) or people (``text``), and spans.

    Attributes:
        log_format: ``json`` or ``text``.
        log_level: from which level on lines are written.
        traces_url: an OpenTelemetry collector that takes OTLP over HTTP, like ``http://collector:4318``; none is told.
        traces_share: how many of all traces are told, from 0 to 1.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="ORDERMILL_")

    log_format: Literal["json", "text"] = "json"
    log_level: str = "INFO"
    traces_url: str | None = None
    traces_share: float = Field(default=1.0, ge=0, le=1)


class ServiceSettings(Told):
    """Settings that every service has: ``pay_by`` is ``ORDERMILL_ORDER_SERVICE_PAY_BY``, else ``ORDERMILL_PAY_BY``.

    Attributes:
        database_url: the service's own schema, as its own role.
        broker_url: RabbitMQ, as the service's own user; nodes of one cluster are separated by commas.
        edge_key: what it knows the gateway and its neighbours by.
        peer_keys: its keys at the others that it asks (``chassis.assertions.key_of``), by name.
        service_token: what all services showed each other in the release before; only the list of what has ended is
            told for it, so that both releases can be at work.
        profile: ``local`` for laptops and tests, else ``production``.
        issuer: the ``iss`` of access tokens.
        peers: base URLs of the other services, by name; a missing one is hosted in this process.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    database_url: SecretStr
    broker_url: SecretStr
    edge_key: SecretStr = Field(min_length=1)
    peer_keys: dict[str, SecretStr] = {}
    service_token: SecretStr | None = Field(default=None, min_length=1)
    profile: Literal["local", "production"] = "production"
    issuer: str = "https://ordermill.example"
    peers: dict[str, str] = {}
    database_connections: int = 8
