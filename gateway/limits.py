"""How often one address and one user may ask, and the fields that tell of it (draft-ietf-httpapi-ratelimit-headers)."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage
from loguru import logger

from chassis.problems import Problem
from gateway.headers import Headers

ANSWERS_WITHIN = 0.1  # seconds, for the storage that several gateways share
REST = 1.0


@dataclass(frozen=True)
class Quota:
    """So many requests in a window of time.

    Attributes:
        name: what it is counted by.
        rate: as in `100 per second`.
    """

    name: str
    rate: RateLimitItem

    @classmethod
    def of(cls, name: str, rate: str) -> "Quota":
        """Raises ValueError when the rate is none."""
        return cls(name, parse(rate))

    @cached_property
    def policy(self) -> str:
        """As the answers tell it."""
        return f'"{self.name}";q={self.rate.amount};w={self.rate.get_expiry()}'


@dataclass(frozen=True)
class Spent:
    """What is left of a quota after a request; `in_time` is whether this request was within it."""

    quota: Quota
    in_time: bool
    left: int
    seconds: int

    @property
    def state(self) -> str:
        return f'"{self.quota.name}";r={self.left};t={self.seconds}'


class Limits:
    """Counts in the memory of this process, or in Redis for several gateways: `redis://host:6379/0`.

    While Redis does not answer, each gateway counts for itself: a limit must not end the shop that it protects.
    """

    def __init__(self, url: str = "memory://", clock: Callable[[], float] = time.time) -> None:
        self._own = _Counts()
        self._shared = None if url == "memory://" else _storage(url)
        self._clock = clock
        self._ask_at = 0.0

    async def spend(self, quota: Quota, key: str) -> Spent:
        """One request of who is named by the key. Windows begin for everybody at the same moment."""
        size = quota.rate.get_expiry()
        window, gone = divmod(self._clock(), size)
        count = await self._count(quota.name, key, int(window), size)
        left = quota.rate.amount - count
        return Spent(quota, left >= 0, max(0, left), math.ceil(size - gone))

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._shared is not None:
            await self._shared.bridge.storage.aclose()  # type: ignore[attr-defined]

    async def _count(self, name: str, key: str, window: int, size: int) -> int:
        if self._shared is not None and self._clock() >= self._ask_at:
            try:
                async with asyncio.timeout(ANSWERS_WITHIN):
                    return await self._shared.incr(f"{name}/{key}/{window}", size)
            except Exception as failure:  # noqa: BLE001 -- whatever keeps it from counting, we count
                logger.warning("the storage of the rate limits does not answer: {!r}", failure)
                self._ask_at = self._clock() + REST
        return self._own.incr(name, key, window)


class _Counts:
    """How often each came in the window that is now; the one before is forgotten as a whole.

    The library's own storage in memory looks through all its keys at each turn of the event loop.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, tuple[int, dict[str, int]]] = {}

    def incr(self, name: str, key: str, window: int) -> int:
        known, counts = self._by_name.get(name, (window, {}))
        if known != window or not counts:
            counts = {}
            self._by_name[name] = window, counts
        counts[key] = count = counts.get(key, 0) + 1
        return count


def told(spent: Sequence[Spent]) -> dict[str, str]:
    """The fields that an answer carries."""
    if not spent:
        return {}
    return {
        "RateLimit-Policy": ", ".join(one.quota.policy for one in spent),
        "RateLimit": ", ".join(one.state for one in spent),
    }


def told_raw(spent: Sequence[Spent]) -> Headers:
    """The same as bytes."""
    return [(name.lower().encode(), value.encode()) for name, value in told(spent).items()]


def refuse_too_many(spent: Sequence[Spent]) -> None:
    """Raises Problem when the last of these was not in time."""
    if spent and not spent[-1].in_time:
        last = spent[-1]
        code, detail = "rate_limited", f"At most {last.quota.rate} for one {last.quota.name}."
        raise Problem(code, detail, headers={"Retry-After": str(last.seconds), **told(spent)})


def _storage(url: str) -> RedisStorage:
    # Its other client for Redis, coredis, would bring trio along.
    return RedisStorage(url, implementation="redispy", socket_connect_timeout=ANSWERS_WITHIN)
