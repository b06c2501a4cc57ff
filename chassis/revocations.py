"""What has ended before its access tokens expire: sessions and API keys, as auth_service lists them.

Nobody looks here on the hot path: whoever is on the list is dropped from the tokens that were checked before.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

EVERY = 10.0
_OLDEST = 50.0  # so that whoever is shut out is refused within a minute, whatever happens between us and the list
ASK_AGAIN = 0.5


class RevocationsUnavailable(Exception):
    """Whether a session has ended cannot be known now."""


class Revocations:
    """The list, read again each 10 s.

    Args:
        fetch: asks auth_service for the ids of everything that has ended while a token of it may still be good.
        dropped: told the ids after each reading, None when the list has become too old to be relied upon.
        now: seconds on any clock.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Collection[UUID]]],
        dropped: Callable[[Collection[UUID] | None], None],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._dropped = dropped
        self._now = now
        self._ids: frozenset[UUID] = frozenset()
        self._read_at = float("-inf")
        self._ask_at = float("-inf")
        self._asking = asyncio.Lock()

    async def read(self) -> bool:
        """Reads the list now; False when it cannot be had: the one of before is relied upon until it is 50 s old."""
        began = self._now()
        try:
            ids = frozenset(await self._fetch())
        except Exception:  # noqa: BLE001 -- whatever stands between us and the list, the one of before is good for a while
            self._ask_at = self._now() + ASK_AGAIN
            if not self._is_fresh(_OLDEST):
                self._dropped(None)
            return False
        self._ids, self._read_at = ids, began
        self._dropped(ids)
        return True

    async def has(self, ended: UUID) -> bool:
        """Whether this has ended.

        Raises:
            RevocationsUnavailable: when the list is older than 50 s, and auth_service does not answer.
        """
        if not self._is_fresh(_OLDEST):
            async with self._asking:
                if not self._is_fresh(_OLDEST) and self._now() >= self._ask_at:
                    await self.read()
            if not self._is_fresh(_OLDEST):
                raise RevocationsUnavailable
        return ended in self._ids

    def _is_fresh(self, seconds: float) -> bool:
        return self._now() - self._read_at <= seconds
