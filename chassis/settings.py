"""What a service is told from outside: environment variables with the prefix ORDERMILL_, read once."""

from typing import Literal

from pydantic import AliasChoices, AliasGenerator, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def named(service: str) -> AliasGenerator:
    """The environment's names of a service's: ``class Settings(ServiceSettings, alias_generator=named("x"))``."""

    def names(field: str) -> AliasChoices:
        return AliasChoices(f"ORDERMILL_{service}_{field}".upper(), f"ORDERMILL_{field}".upper())

    return AliasGenerator(validation_alias=names)


class LogSettings(BaseSettings):
    """How a process logs: ``json`` for machines, ``text`` for people."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="ORDERMILL_")

    log_format: Literal["json", "text"] = "json"
    log_level: str = "INFO"


class ServiceSettings(BaseSettings):
    """Settings that every service has: ``pay_by`` is ``ORDERMILL_ORDER_SERVICE_PAY_BY``, else ``ORDERMILL_PAY_BY``.

    Attributes:
        database_url: the service's own schema, as its own role.
        broker_url: RabbitMQ, as the service's own user.
        service_token: what services show each other on internal routes.
        profile: ``local`` for laptops and tests, else ``production``.
        issuer: the ``iss`` of access tokens.
        peers: base URLs of the other services, by name; a missing one is hosted in this process.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    database_url: SecretStr
    broker_url: SecretStr
    service_token: SecretStr
    profile: Literal["local", "production"] = "production"
    issuer: str = "https://ordermill.example"
    peers: dict[str, str] = {}
    database_connections: int = 8
