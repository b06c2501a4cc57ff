"""Kept connections to one service: the one that was used last is used first, and old ones are closed."""

import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx2

AT_MOST = 1000
KEPT_FOR = 30.0  # less than the 65 s of our services: a connection must not be closed there while it is used again here
_ONE = httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEPT_FOR)


class Full(Exception):
    """So many requests are with the service already that one more would not be served in time."""


class Connections:
    """Transports of one connection each.

    A transport of httpx2 with many connections looks at each of them at every request: with 300 requests under way that
    costs 2.5 ms of CPU a request, against 0.7 ms.
    """

    def __init__(self, url: httpx2.URL, clock: Callable[[], float] = time.monotonic) -> None:
        # Made once: reading the certificates takes 70 ms.
        self._tls = httpx2.create_ssl_context(verify=url.scheme == "https", trust_env=False)
        self._clock = clock
        self._idle: deque[tuple[float, httpx2.AsyncHTTPTransport]] = deque()
        self._used = 0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[httpx2.AsyncHTTPTransport]:
        """A transport for one request and its whole answer; it is kept when both passed without a failure.

        Raises:
            Full: when 1,000 are in use.
        """
        if self._used >= AT_MOST:
            raise Full
        transport = self._idle.pop()[1] if self._idle else self._another()
        self._used += 1
        try:
            yield transport
        except BaseException:
            await transport.aclose()
            raise
        else:
            self._idle.append((self._clock(), transport))
        finally:
            self._used -= 1
            await self._close_before(self._clock() - KEPT_FOR)

    async def aclose(self) -> None:
        """Closes what is not in use."""
        await self._close_before(float("inf"))

    def _another(self) -> httpx2.AsyncHTTPTransport:
        return httpx2.AsyncHTTPTransport(verify=self._tls, limits=_ONE, trust_env=False)

    async def _close_before(self, moment: float) -> None:
        while self._idle and self._idle[0][0] < moment:
            await self._idle.popleft()[1].aclose()
