"""The worker process: all consumers, the charging and mailing that they do, and the relay."""

import asyncio
import sys

import uvloop
from faststream import FastStream

from tests.performance.usual_way import handlers, messaging, payments
from tests.performance.usual_way.database import log_to_stderr

app = FastStream(messaging.broker, logger=None)
CONSUMERS = (handlers, payments)  # importing them subscribed them
relays: set[asyncio.Task[None]] = set()


@app.after_startup
async def start_relay() -> None:
    await messaging.declare_dead_letters()
    relays.add(asyncio.create_task(messaging.relay()))
    sys.stdout.write("ready\n")
    sys.stdout.flush()


@app.on_shutdown
async def stop_relay() -> None:
    for task in relays:
        task.cancel()
    await asyncio.gather(*relays, return_exceptions=True)


if __name__ == "__main__":
    log_to_stderr()
    uvloop.run(app.run())
