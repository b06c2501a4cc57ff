"""The way between a process and its database, where connections break, statements fail and commits go unanswered."""

from collections.abc import Callable
from datetime import datetime

import asyncpg

from tests.simulation.loop import PROCESS
from tests.simulation.world import World
from tests.support.memory.database import Connection, Network, Transaction


class Wire(Network):
    """One process's connections to one schema; they end with it."""

    def __init__(self, world: World, schema: str) -> None:
        self._world = world
        self._schema = schema

    def now(self) -> datetime:
        return self._world.now()

    def opened(self, session: Transaction | Connection) -> None:
        if (process := PROCESS.get()) is not None:
            process.at_end[session.end] = None
            if not process.alive:
                session.end()

    def closed(self, session: Transaction | Connection) -> None:
        if (process := PROCESS.get()) is not None:
            process.at_end.pop(session.end, None)

    async def ask(self, transaction: Transaction | None) -> None:
        await self._world.travel()
        world, faults = self._world, self._world.faults
        if world.is_down(self._schema):
            raise ConnectionRefusedError(self._schema)
        if world.happens(faults.connection_lost):
            if transaction is not None:
                transaction.end()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        if transaction is not None:
            if world.happens(faults.conflict):
                raise world.rng.choice((asyncpg.SerializationError, asyncpg.DeadlockDetectedError))
            if world.happens(faults.statement_fails):
                raise asyncpg.QueryCanceledError("canceling statement due to statement timeout")

    async def commit(self, commit: Callable[[], None]) -> None:
        await self._world.travel()
        if self._world.happens(self._world.faults.fate_unknown):
            if self._world.happens(0.5):
                commit()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        commit()
        await self._world.travel()
