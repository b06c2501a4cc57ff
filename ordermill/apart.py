"""A deferred event in a process of its own, after two processes have died with it: two accidents, or its doing.

The process is this module: `python -m ordermill.apart SERVICE MESSAGE_ID INDEX`, with the settings of its parent.
"""

import asyncio
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from uuid import UUID

from chassis import logging
from chassis.app import parts_of
from chassis.deferred import Deferred
from chassis.settings import LogSettings
from chassis.tasks import running
from ordermill.process import argv_of, die_with_parent
from ordermill.services import load

BEGINS_WITHIN = 30.0
ENDS_WITHIN = 15.0
BEGINS = b"begins\n"


async def survives(service: str, event: Deferred) -> bool:
    """Whether a process survives the event. One that ends before it begins with it has not died of it.

    It ends with us, so that nobody takes it for dead when we are.
    """
    words = (*argv_of(__name__), service, str(event.message_id), str(event.index))
    child = await asyncio.create_subprocess_exec(
        *words, stdin=DEVNULL, stdout=PIPE, preexec_fn=die_with_parent(signal.SIGKILL)
    )
    try:
        return await _outcome(child)
    finally:
        with suppress(ProcessLookupError):
            child.kill()


async def _outcome(child: asyncio.subprocess.Process) -> bool:
    begun = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(BEGINS_WITHIN):
            begun = await child.stdout.readline() if child.stdout else b""
    if begun != BEGINS:
        return True
    with suppress(TimeoutError):
        async with asyncio.timeout(ENDS_WITHIN):
            return await child.wait() == 0
    return False


async def attempt(service: str, message_id: UUID, index: int) -> None:
    """Tries the event as a worker does, if it still waits."""
    parts = parts_of(load(service), load(service).settings(), {})
    await parts.database.open()
    async with running(parts.pipeline.run()):
        async with parts.database.transaction(read_only=True) as tx:
            event = await parts.work.deferred.find(tx, message_id, index)
        if event:
            sys.stdout.buffer.write(BEGINS)
            sys.stdout.flush()
            await parts.pipeline.retry([event])
    await parts.database.close()


if __name__ == "__main__":
    logs = LogSettings()
    logging.set_up(f"{sys.argv[1]}.apart", level=logs.log_level, form=logs.log_format)
    asyncio.run(attempt(sys.argv[1], UUID(sys.argv[2]), int(sys.argv[3])))
