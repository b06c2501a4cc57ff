"""The gateway, put together from its settings: hosted services in-process, the others over HTTP."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext

from starlette.types import ASGIApp

from chassis.boundary import Boundary
from gateway.app import Lifespan, gateway
from gateway.proxy import Proxy
from gateway.settings import Settings


class NowhereToGo(Exception):
    """The gateway hosts no service and was told no address of one: set ORDERMILL_PEERS."""


def app(hosted: Mapping[str, ASGIApp], lifespan: Lifespan = nullcontext, settings: Settings | None = None) -> ASGIApp:
    """The gateway of one process.

    Args:
        hosted: the services of this process, by name; their lifespans belong to `lifespan`.
        lifespan: what lives as long as the gateway.
        settings: read from the environment when not given.

    Raises:
        NowhereToGo: when a service of the routing table has no address and nothing is hosted here.
    """
    settings = settings or Settings()
    proxies = {name: _proxy(urls, settings) for name, urls in settings.peers.items() if name not in hosted}
    missing = sorted(set(settings.routes.values()) - proxies.keys())
    if missing and not hosted:
        message = f"No address of {', '.join(missing)} in ORDERMILL_PEERS."
        raise NowhereToGo(message)

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for proxy in proxies.values():
                stack.push_async_callback(proxy.aclose)
            await stack.enter_async_context(lifespan())
            yield

    ways: dict[str, ASGIApp] = {name: Boundary(proxy, "gateway") for name, proxy in proxies.items()}
    return gateway({**ways, **hosted}, table=settings.routes, lifespan=life)


def _proxy(urls: str | tuple[str, ...], settings: Settings) -> Proxy:
    return Proxy(
        *((urls,) if isinstance(urls, str) else urls),
        connect_within=settings.connect_within,
        answer_within=settings.answer_within,
        silence_within=settings.silence_within,
    )
