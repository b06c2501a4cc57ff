"""The logs of a shop's processes, which only write at their ends: each is kept below a bound."""

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

from ordermill.ours import PRIVATE
from ordermill.state import State

KEPT = 50 * 1024 * 1024
LOOK_EACH = 5


async def cut_logs(state: State) -> None:
    """Keep each log below its bound: the processes append, so cutting the file is all it takes."""
    while True:
        for log in (state.root / "log").glob("*.log"):
            with contextlib.suppress(OSError):  # the next look comes, and a full disk may have room by then
                if log.stat().st_size > KEPT:
                    await asyncio.to_thread(_cut, log)
        await asyncio.sleep(LOOK_EACH)


def _cut(log: Path) -> None:
    """Keep the end beside it; in pieces, since it grows meanwhile. Where there is no room even for that, it is lost."""
    kept = log.with_suffix(".log.1")
    try:
        kept.touch(PRIVATE)
        with log.open("rb") as whole, kept.open("wb") as end:
            whole.seek(-KEPT, os.SEEK_END)
            shutil.copyfileobj(whole, end)
    finally:
        os.truncate(log, 0)
