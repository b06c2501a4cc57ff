"""Which of a shop's settings a process is told: those that are no secret, and the secrets of what it hosts."""

from collections.abc import Mapping, Sequence

from ordermill.services import PROVIDER, SERVICES

_OF_SERVICES = ("ORDERMILL_SERVICE_TOKEN", "ORDERMILL_GATEWAY_KEY")
_OF_PAYMENT = ("ORDERMILL_WEBHOOK_SECRET", "ORDERMILL_PROVIDER_KEY", "ORDERMILL_PROVIDER_DATABASE_URL")
_SECRETS = {
    **dict.fromkeys(SERVICES, _OF_SERVICES),
    PROVIDER: ("ORDERMILL_WEBHOOK_SECRET",),
    "payment_service": (*_OF_SERVICES, *_OF_PAYMENT),
    "notification_service": (*_OF_SERVICES, "ORDERMILL_SMTP_URL"),
}
_NO_SECRET = {f"ORDERMILL_{name}" for name in ("PROFILE", "LOG_FORMAT", "PEERS", "PROVIDER_URL", "WEBHOOK_URL")}


def secrets_of(hosted: str, told: Mapping[str, str]) -> dict[str, str]:
    """Its own addresses at the servers, and what it shares with those that it speaks with."""
    own, shared = f"ORDERMILL_{hosted.upper()}_", _SECRETS.get(hosted, ())
    return {name: value for name, value in told.items() if name.startswith(own) or name in shared}


def settings_of(hosted: Sequence[str], told: Mapping[str, str]) -> dict[str, str]:
    """What a process that hosts all of these is told."""
    settings = {name: value for name, value in told.items() if name in _NO_SECRET}
    for each in hosted:
        settings |= secrets_of(each, told)
    return settings
