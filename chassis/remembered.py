"""What a process says of itself is found out twice a second at most, however often it is asked."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

FRESH_FOR = 0.5
Told = TypeVar("Told")


class Remembered(Generic[Told]):
    """What was found out, for half a second: probes are always answered, so that they must cost next to nothing."""

    def __init__(self, find_out: Callable[[], Awaitable[Told]]) -> None:
        self._find_out = find_out
        self._until = float("-inf")
        self._asking = asyncio.Lock()
        self._told: Told

    async def __call__(self) -> Told:
        """What was found out last, or now."""
        async with self._asking:
            if time.monotonic() >= self._until:
                self._told = await self._find_out()
                self._until = time.monotonic() + FRESH_FOR
        return self._told
