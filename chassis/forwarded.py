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
    ``X-Forwarded-Proto`` say, once each. A neighbour is a place of its own, so that no stranger is in its way. Whoever
    says nothing is a client themselves, whatever they claim: else anybody who reaches the port would come from as many
    places as they like. ``past_gateway`` in the scope says so: on one machine that is the address of customers, too,
    whose place it must not be.
    """

    def __init__(self, app: ASGIApp, assertions: Assertions) -> None:
        self._app = app
        self._assertions = assertions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on, from where it comes."""
        if scope["type"] == "http":
            self._locate(scope)
        await self._app(scope, receive, send)

    def place(self, scope: Scope) -> str:
        """Where a request comes from, as ``site_of`` says of those that were passed on."""
        located = {**scope}
        self._locate(located)
        return site_of(located)

    def _locate(self, scope: Scope) -> None:
        said = dict(scope["headers"])
        who = self._assertions.comes(said.get(NAME, b""))
        if who == GATEWAY:
            _believe(scope, said)
        elif who is None:
            scope["past_gateway"] = True
        else:
            scope["client"] = (who, 0)


def _believe(scope: Scope, said: dict[bytes, bytes]) -> None:
    if address := said.get(b"x-forwarded-for"):
        scope["client"] = (address.decode("latin-1"), 0)
    if scheme := said.get(b"x-forwarded-proto"):
        scope["scheme"] = scheme.decode("latin-1")
