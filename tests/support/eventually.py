"""Waiting for what happens elsewhere, without a sleep that is too short or too long."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable


async def eventually(is_so: Callable[[], bool | Awaitable[bool]], *, within: float = 60.0) -> None:
    """Returns as soon as the condition holds.

    Raises:
        TimeoutError: when it does not within so many seconds.
    """
    async with asyncio.timeout(within):
        while True:
            answer = is_so()
            if await answer if inspect.isawaitable(answer) else answer:
                return
            await asyncio.sleep(0.01)
