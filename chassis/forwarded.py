"""Where a request comes from when it came through the gateway, which says so and shows a key that only we have."""

from hmac import compare_digest

from loguru import logger
from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.places import NETWORK, SITE, place_of

KEY = b"x-gateway-key"


def origin(scope: Scope, prefix: int = NETWORK) -> str:
    """The place that a request counts for: its client's, or of all who have not come through the gateway one."""
    return place_of("past the gateway" if "past_gateway" in scope else (scope.get("client") or ("", 0))[0], prefix)


def site_of(scope: Scope) -> str:
    """Who takes turns, or has a share: the same, but of IPv6 whoever has a /48."""
    return origin(scope, SITE)


class Forwarded:
    """Middleware around the edge of a service in a process of its own, which others than the gateway reach as well.

    With the key the client's address and scheme are what ``X-Forwarded-For`` and ``X-Forwarded-Proto`` say, once each.
    Whoever shows none, or another one, is a client themselves, whatever they say: else anybody who reaches the port
    would come from as many places as they like. ``past_gateway`` in the scope says so: on one machine that is the
    address of customers, too, whose place it must not be. Nothing behind this sees the key.

    Args:
        key: what the gateway shows; without one nobody is believed.
    """

    def __init__(self, app: ASGIApp, key: SecretStr | None) -> None:
        self._app = app
        self._key = key.get_secret_value().encode() if key else b""
        if not self._key:
            logger.warning("no ORDERMILL_GATEWAY_KEY: whoever comes through the gateway comes from one place")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on, from where it comes."""
        if scope["type"] == "http":
            scope = self._located(scope)
        await self._app(scope, receive, send)

    def place(self, scope: Scope) -> str:
        """Where a request comes from, as ``site_of`` says of those that were passed on."""
        return site_of(self._located(scope))

    def _located(self, scope: Scope) -> Scope:
        said = dict(scope["headers"])
        located = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != KEY]}
        if self._key and compare_digest(said.get(KEY, b""), self._key):
            _believe(located, said)
        else:
            located["past_gateway"] = True
        return located


def _believe(scope: Scope, said: dict[bytes, bytes]) -> None:
    if address := said.get(b"x-forwarded-for"):
        scope["client"] = (address.decode("latin-1"), 0)
    if scheme := said.get(b"x-forwarded-proto"):
        scope["scheme"] = scheme.decode("latin-1")
