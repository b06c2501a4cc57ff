"""One process of a service: its edge, its pipeline and its loops, which can die at any point and start anew."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Any

import httpx2

from chassis.api import api
from chassis.app import opened, parts_of
from chassis.consumer import Consumer
from chassis.database import OUTAGE
from chassis.items import Unavailable
from chassis.tasks import running
from chassis.tokens import KeyPair, Verifier, issue
from tests.stateful.faults import Killed, MoodyProvider
from tests.stateful.loops import landed

PAIR = KeyPair.new()
LONGEST = 120.0  # seconds of a loaded machine, for what takes milliseconds


async def _jwks():
    return {"keys": [dict(PAIR.public_jwk)]}


def token_of(caller, issuer: str) -> str:
    return issue(PAIR, caller, issuer=issuer, now=time.time(), lifetime=timedelta(days=1))


class Lost:
    """What a caller has of a process that died, or of a database that did not answer: nothing."""


LOST = Lost()


class Process:
    """What it holds in memory is gone when it dies: the batch, the calls that are out, the connections.

    One that takes over what it makes asks the provider, or sends, as soon as it is committed.
    """

    def __init__(self, service, settings, peers, *, takes_over: bool) -> None:
        self.service = service
        self.takes_over = takes_over and service.handover is not None
        self.deaths = 0
        self._settings = settings
        self._peers = peers
        self._app = None
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        self.parts = parts_of(self.service, self._settings, self._peers)
        self.parts.verifier = Verifier(_jwks, issuer=self._settings.issuer)
        if self._app is None:
            self._app = api(self.parts)
            self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(self._app), base_url="http://shop/api/v1")
        self._app.state.parts = self.parts
        await self._stack.enter_async_context(opened(self.parts))
        if self.service.name == "payment_service":
            self.parts.own.provider = MoodyProvider(self.parts.own.provider)
        if self.takes_over:
            self.parts.pipeline.handover = self.service.handover(self.parts)
        self.pipeline = asyncio.ensure_future(_until_killed(self.parts.pipeline))
        await self._stack.enter_async_context(running(self.pipeline))

    async def stop(self) -> None:
        await self._stack.aclose()

    async def die(self) -> None:
        self.deaths += 1
        await self.stop()
        await self.start()

    @property
    def consumer(self) -> Consumer:
        return Consumer(self.service.name, "amqp://nowhere", self.parts.database, self.parts.pipeline, self.parts.work)

    async def run(self, *works: Awaitable[Any], fault=None) -> list[Any]:
        """The works' results; LOST for those whose process died, or whose database did not answer, meanwhile."""
        database = self.parts.database
        database.arm(fault)
        tasks = [asyncio.ensure_future(self._whole(work)) for work in works]
        together = asyncio.gather(*tasks, return_exceptions=True)
        done, _ = await asyncio.wait({together, self.pipeline}, return_when=asyncio.FIRST_COMPLETED, timeout=LONGEST)
        assert done, f"{self.service.name} is stuck"
        for task in tasks if self.pipeline.done() else ():
            task.cancel()
        results = await together
        if self.pipeline.done() or any(isinstance(result, Killed) for result in results):
            await self.die()
        database.arm(None)
        return [self._seen(result, struck=database.struck or fault is not None) for result in results]

    async def _whole(self, work: Awaitable[Any]) -> Any:
        """A work, and what the process does by itself because of it."""
        result = await work
        await landed(self.parts)
        return result

    def _seen(self, result: Any, *, struck: bool) -> Any:
        if not isinstance(result, BaseException):
            return result
        if struck and isinstance(result, (Killed, asyncio.CancelledError, Unavailable, *OUTAGE)):
            return LOST
        raise result


async def _until_killed(pipeline) -> None:
    with suppress(Killed):
        await pipeline.run()
