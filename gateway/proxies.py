"""Where a request comes from that proxies in front of the gateway passed on."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Scope
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from chassis.places import SITE, place_of


class BehindProxies(ProxyHeadersMiddleware):
    """Middleware: the client's address and scheme are what the proxies say, of whom the last ones are trusted."""

    def __init__(self, app: ASGIApp, trusted: Iterable[str]) -> None:
        super().__init__(app, list(trusted))  # type: ignore[arg-type]

    def place(self, scope: Scope) -> str:
        """Where a request comes from, before it is passed on."""
        host, _ = scope.get("client") or ("", 0)
        if host in self.trusted_hosts:
            said = b", ".join([value for name, value in scope["headers"] if name == b"x-forwarded-for"])
            named, _ = self.trusted_hosts.get_trusted_client_address(said.decode("latin-1"))
            host = named or host
        return place_of(host, SITE)
