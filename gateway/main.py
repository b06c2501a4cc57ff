"""The gateway, put together from its settings: hosted services in-process, the others over HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any

import httpx2
from loguru import logger
from starlette.types import ASGIApp

from chassis.api_keys import ApiKeys
from chassis.assertions import GATEWAY, Asserter
from chassis.boundary import Boundary
from chassis.neighbours import behind
from chassis.tokens import Verifier
from gateway.app import Lifespan, absent, gateway
from gateway.cors import Cors
from gateway.guard import Guard
from gateway.limits import Limits, Quota
from gateway.proxies import BehindProxies
from gateway.proxy import Proxy
from gateway.settings import Settings

ISSUER = "auth_service"


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
    proxies = {name: _proxy(name, urls, settings) for name, urls in settings.peers.items() if name not in hosted}
    if not hosted:
        _refuse_missing(set(settings.routes.values()) - proxies.keys())
    services: dict[str, ASGIApp] = {**{name: Boundary(proxy, "gateway") for name, proxy in proxies.items()}, **hosted}
    issuer = behind(services.get(ISSUER, absent(ISSUER)), ISSUER)
    guard = _guard(issuer, settings)
    life = _life(lifespan, [issuer.aclose, guard.aclose, *(proxy.aclose for proxy in proxies.values())])
    return _behind(gateway(services, table=settings.routes, guard=guard, lifespan=life), settings)


def _life(lifespan: Lifespan, closing: Sequence[Callable[[], Awaitable[None]]]) -> Lifespan:
    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for close in closing:
                stack.push_async_callback(close)
            await stack.enter_async_context(lifespan())
            yield

    return life


def _refuse_missing(names: set[str]) -> None:
    if names:
        message = f"No address of {', '.join(sorted(names))} in ORDERMILL_PEERS."
        raise NowhereToGo(message)


def _behind(door: ASGIApp, settings: Settings) -> ASGIApp:
    if settings.cors_origins:
        door = Cors(door, settings.cors_origins)
    if settings.trusted_proxies:
        door = BehindProxies(door, settings.trusted_proxies)  # type: ignore[assignment]
    return door


def _guard(issuer: httpx2.AsyncClient, settings: Settings) -> Guard:
    async def jwks() -> dict[str, Any]:
        response = await issuer.get("/.well-known/jwks.json")
        response.raise_for_status()
        told: dict[str, Any] = response.json()
        return told

    return Guard(
        Verifier(jwks, issuer=settings.issuer).verify,
        None if settings.limited is None else Limits(settings.rates_url.get_secret_value()),
        quotas=(Quota.of("address", settings.address_rate), Quota.of("principal", settings.principal_rate)),
        limited=settings.limited or "",
        keys=ApiKeys(issuer),
    )


def _proxy(name: str, urls: str | tuple[str, ...], settings: Settings) -> Proxy:
    key = settings.peer_keys.get(name)
    if key is None:
        logger.warning("no key at {} in ORDERMILL_GATEWAY_PEER_KEYS: it is sent access tokens", name)
    return Proxy(
        *((urls,) if isinstance(urls, str) else urls),
        asserter=Asserter(GATEWAY, key) if key else None,
        connect_within=settings.connect_within,
        answer_within=settings.answer_within,
        silence_within=settings.silence_within,
    )
