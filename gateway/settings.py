"""What the gateway is told from outside: where the services are, how long it waits for them, whom it lets pass."""

from datetime import timedelta
from typing import Literal

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from chassis.settings import Told, named
from gateway.routing import PREFIX, TABLE

Limited = Literal["all", "auth", "off"]


class Settings(Told):
    """`ORDERMILL_GATEWAY_<FIELD>`, else `ORDERMILL_<FIELD>`.

    Attributes:
        peers: base URLs of the services that other processes host, by name: one, or a list of a service's instances.
        peer_keys: its key at each service, which so believes it about who asks and from where, by name.
        routes: the routing table, path prefix → service.
        connect_within: to a service; then one more try for safe methods, then 503.
        answer_within: from the request to the first byte of the answer; longer than `Prefer: wait` may ask for (30 s).
        silence_within: between two pieces of an answer; streams send a sign of life more often.
        issuer: the `iss` of access tokens.
        rate_limits: whether `all` paths are limited, those of `auth` alone, or none: `off`. Where nothing is said,
            `auth` in the local profile, else `all`.
        principal_rate: of one user, as in `100 per second` or `5000 per minute`.
        address_rate: of one address, of IPv6 of its /64.
        rates_url: where requests are counted: `memory://`, or `redis://…` where there are several gateways.
        cors_origins: of pages that may read our answers, as in `https://shop.example`; `*` for any.
        trusted_proxies: addresses or networks in front of the gateway, whose `X-Forwarded-…` are believed.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, alias_generator=named("gateway")
    )

    peers: dict[str, str | tuple[str, ...]] = {}  # noqa: RUF012 -- pydantic copies it
    peer_keys: dict[str, SecretStr] = {}  # noqa: RUF012 -- pydantic copies it
    routes: dict[str, str] = TABLE
    connect_within: timedelta = timedelta(seconds=1)
    answer_within: timedelta = timedelta(seconds=35)
    silence_within: timedelta = timedelta(seconds=60)
    profile: Literal["local", "production"] = "production"
    issuer: str = "https://ordermill.example"
    rate_limits: Limited | None = None
    principal_rate: str = "100 per second"
    address_rate: str = "1000 per second"
    rates_url: SecretStr = SecretStr("memory://")
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()

    @property
    def limited(self) -> str | None:
        """The prefix of the paths that are limited; None when none are."""
        by_profile: Limited = "auth" if self.profile == "local" else "all"
        prefixes = {"all": "", "auth": f"{PREFIX}/auth/", "off": None}
        return prefixes[self.rate_limits or by_profile]
