"""Imported by every process of a shop whose test puts this folder on its path: what a file names gets stuck, once."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from chassis import heartbeat
from chassis.relay import Relay
from ordermill import supervisor

heartbeat.ALLOWED = 6.0
supervisor.LIVENESS_EACH = 0.5
_step: Callable[..., Awaitable[bool]] = Relay.step


def _is_told(relay: Relay, harm: str) -> bool:
    """Only the orders' relay, hence their worker: whoever else looked first would be hurt in its place."""
    if relay.service != "order_service":
        return False
    file = Path(os.environ["ORDERMILL_TEST_HARM"])
    try:
        if file.read_text() == harm:
            file.unlink()
            return True
    except FileNotFoundError:
        pass
    return False


async def step(relay: Relay, *arguments: Any) -> bool:
    if _is_told(relay, "relay"):
        await asyncio.Event().wait()
    if _is_told(relay, "event loop"):
        time.sleep(3600)  # noqa: ASYNC251 -- it is to block
    return await _step(relay, *arguments)


Relay.step = step  # type: ignore[method-assign]
