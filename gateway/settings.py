"""What the gateway is told from outside: where the services are, and how long it waits for them."""

from datetime import timedelta

from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.settings import named
from gateway.routing import TABLE


class Settings(BaseSettings):
    """`ORDERMILL_GATEWAY_<FIELD>`, else `ORDERMILL_<FIELD>`.

    Attributes:
        peers: base URLs of the services that other processes host, by name: one, or a list of a service's instances.
        routes: the routing table, path prefix → service.
        connect_within: to a service; then one more try for safe methods, then 503.
        answer_within: from the request to the first byte of the answer; longer than `Prefer: wait` may ask for (30 s).
        silence_within: between two pieces of an answer; streams send a sign of life more often.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, alias_generator=named("gateway")
    )

    peers: dict[str, str | tuple[str, ...]] = {}
    routes: dict[str, str] = TABLE
    connect_within: timedelta = timedelta(seconds=1)
    answer_within: timedelta = timedelta(seconds=35)
    silence_within: timedelta = timedelta(seconds=60)
