"""Where a request comes from when it came through the gateway, which says so to this service alone."""

from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.assertions import GATEWAY, NAME, Assertions
from chassis.places import NETWORK, SITE, place_of


def origin(scope: Scope, prefix: int = NETWORK) -> str:
    """The place that a request counts for: its client's, or of all who have not come through the gateway one."""
    return place_of("past the gateway" if "past_gateway" in scope else (scope.get("client") or ("", 0))[0], prefix)


def site_of(scope: Scope) -> str:
    """Who takes turns, or has a share: the same, but of IPv6 whoever has a /48."""
    return origin(scope, SITE)


class Forwarded:
    """Middleware around the edge of a service in a process of its own, which others than the gateway reach as well.

    Where the gateway says that it comes, the client's address and scheme are what ``X-Forwarded-For`` and
    ``X-Forwarded-Proto`` say, once each. Whoever says nothing, or is not the gateway, is a client themselves, whatever
    they claim: else anybody who reaches the port would come from as many places as they like. ``past_gateway`` in the
    scope says so: on one machine that is the address of customers, too, whose place it must not be.
    """

    def __init__(self, app: ASGIApp, assertions: Assertions) -> None:
        self._app = app
        self._assertions = assertions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on, from where it comes."""
        if scope["type"] == "http":
            said = dict(scope["headers"])
            if self._assertions.comes(said.get(NAME, b"")) == GATEWAY:
                _believe(scope, said)
            else:
                scope["past_gateway"] = True
        await self._app(scope, receive, send)


def _believe(scope: Scope, said: dict[bytes, bytes]) -> None:
    if address := said.get(b"x-forwarded-for"):
        scope["client"] = (address.decode("latin-1"), 0)
    if scheme := said.get(b"x-forwarded-proto"):
        scope["scheme"] = scheme.decode("latin-1")
