"""Which of a shop's settings a process is told: those that are no secret, and the secrets of what it hosts."""

from collections.abc import Mapping, Sequence

from ordermill.services import AUDITOR, GATEWAY, PROVIDER, SERVICES

# Whom each has something to ask; what that is, the routes there say.
COMES_TO = {
    GATEWAY: SERVICES,
    **dict.fromkeys(SERVICES, ("auth_service",)),
    "order_service": ("auth_service", "inventory_service"),
}
_OF_SERVICES = ("ORDERMILL_SERVICE_TOKEN",)
_OF_THE_PROVIDER = ("ORDERMILL_WEBHOOK_SECRET", "ORDERMILL_PROVIDER_KEY", "ORDERMILL_PROVIDER_DATABASE_URL")
_OWN = ("DATABASE_URL", "BROKER_URL", "EDGE_KEY", "PEER_KEYS")
_SHARED = {
    **dict.fromkeys(SERVICES, _OF_SERVICES),
    "payment_service": (*_OF_SERVICES, *_OF_THE_PROVIDER),
    "notification_service": (*_OF_SERVICES, "ORDERMILL_SMTP_URL"),
    PROVIDER: _OF_THE_PROVIDER,
    GATEWAY: (),
    AUDITOR: (),
}
_SECRETS = {
    hosted: {f"ORDERMILL_{hosted.upper()}_{own}" for own in _OWN}.union(shared) for hosted, shared in _SHARED.items()
}
ALL_SECRETS = frozenset(name for names in _SECRETS.values() for name in names)


def secrets_of(hosted: str, told: Mapping[str, str]) -> dict[str, str]:
    """Its own addresses at the servers and keys, and what it shares with those that it speaks with."""
    return {name: value for name, value in told.items() if name in _SECRETS[hosted]}


def settings_of(hosted: Sequence[str], told: Mapping[str, str]) -> dict[str, str]:
    """What a process that hosts all of these is told."""
    settings = {name: value for name, value in told.items() if name not in ALL_SECRETS}
    for each in hosted:
        settings |= secrets_of(each, told)
    return settings
