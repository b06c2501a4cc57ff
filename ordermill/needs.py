"""Which of a shop's settings a process is told: those that are no secret, and the secrets of what it hosts.

And what it has of the environment of `up`: what its programs, its libraries and its settings need.
"""

from collections.abc import Mapping, Sequence

from ordermill import named
from ordermill.services import AUDITOR, GATEWAY, PROVIDER, SERVICES

# Whom each has something to ask; what that is, the routes there say.
COMES_TO = {
    GATEWAY: SERVICES,
    **dict.fromkeys(SERVICES, ("auth_service",)),
    "order_service": ("auth_service", "inventory_service"),
}
_OF_SERVICES = ("ORDERMILL_SERVICE_TOKEN",)
_OF_BOTH = ("ORDERMILL_WEBHOOK_SECRET", "ORDERMILL_PROVIDER_KEY")  # of payment_service, and of the provider
_OWN = ("DATABASE_URL", "BROKER_URL", "EDGE_KEY", "PEER_KEYS")
_SHARED = {
    **dict.fromkeys(SERVICES, _OF_SERVICES),
    "payment_service": (*_OF_SERVICES, *_OF_BOTH),
    "notification_service": (*_OF_SERVICES, "ORDERMILL_SMTP_URL"),
    PROVIDER: _OF_BOTH,
    GATEWAY: ("ORDERMILL_RATES_URL",),
    AUDITOR: (),
}
# A setting that services share may also be said to one of them alone (`named` in chassis/settings.py).
_SECRETS = {
    hosted: {f"ORDERMILL_{hosted.upper()}_{own}" for own in _OWN}.union(shared).union(
        name.replace("ORDERMILL", f"ORDERMILL_{hosted.upper()}", 1) for name in shared
    )
    for hosted, shared in _SHARED.items()
}
ALL_SECRETS = frozenset(name for names in _SECRETS.values() for name in names)

_OF_PEOPLE = {
    "ORDERMILL_TOKEN", "ORDERMILL_EDGE_KEY", "ORDERMILL_PEER_KEYS",
    "ORDERMILL_MAILBOX_KEY", "ORDERMILL_MAILBOX_PASSWORD", *named.SETTINGS,
}  # fmt: skip
_OF_THE_SYSTEM = {
    "PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE",  # for who tells a collector of traces
}  # fmt: skip
_KINDS = ("ORDERMILL_", "LC_", "OTEL_", "PGSSL", "SSL_CERT_", "PYTHON", "LD_", "DYLD_", "MALLOC_", "COVERAGE_")


def handed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """What a process may have of the environment of whoever started the shop (record 0089)."""
    return {name: value for name, value in environment.items() if _is_handed_on(name.upper())}


def _is_handed_on(name: str) -> bool:
    return name in _OF_THE_SYSTEM or (name.startswith(_KINDS) and name not in _OF_PEOPLE)


def secrets_of(hosted: str, told: Mapping[str, str]) -> dict[str, str]:
    """Its own addresses at the servers, and what it shares with those that it speaks with."""
    return {name: value for name, value in told.items() if name.upper() in _SECRETS[hosted]}


def settings_of(hosted: Sequence[str], told: Mapping[str, str]) -> dict[str, str]:
    """What a process that hosts all of these is told."""
    settings = {name: value for name, value in told.items() if name.upper() not in ALL_SECRETS}
    is_the_provider = "payment_service" in hosted and "ORDERMILL_PROVIDER_URL" not in told
    for each in (*hosted, PROVIDER) if is_the_provider else hosted:
        settings |= secrets_of(each, told)
    return settings
