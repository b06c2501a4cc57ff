"""How a process fails: killed, or cut off from the database, at any statement, commit or answer; a moody provider."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import NamedTuple

from chassis.database import Database, Transaction
from payment_service.domain.payment import Answer, Outcome
from payment_service.providers import Said

PLACES = ("statement", "commit", "answer")
STRUCK = Counter[str]()


class Killed(BaseException):
    """The process is gone. Nobody catches it, so that nothing of the process runs on."""


class Fault(NamedTuple):
    """What happens at the how manieth point of a process's work with its database, counted from 1."""

    kind: str
    point: int


class FragileTransaction(Transaction):
    __slots__ = ("_database",)

    def __init__(self, connection, database):
        super().__init__(connection)
        self._database = database

    async def flush(self):
        if self._writes or self._notices:
            self._database.reach("statement", self._connection)
        await super().flush()

    async def sql(self, text, *arguments):
        self._database.reach("statement", self._connection)
        return await super().sql(text, *arguments)


class FragileDatabase(Database):
    """Fails once, when the fault's point is reached."""

    fault: Fault | None = None
    struck = False
    _passed = 0

    def arm(self, fault: Fault | None) -> None:
        self.fault, self.struck, self._passed = fault, False, 0

    @asynccontextmanager
    async def transaction(self, *, read_only=False):
        async with super().transaction(read_only=read_only) as tx:
            fragile = FragileTransaction(tx._connection, self)
            yield fragile
            await fragile.flush()
            self.reach("commit", tx._connection)
        self.reach("answer", None)

    def reach(self, place, connection) -> None:
        self._passed += 1
        if self.fault is None or self._passed < self.fault.point:
            return
        (kind, _), self.fault, self.struck = self.fault, None, True
        STRUCK[f"{kind} at {place}"] += 1
        if kind == "kill":
            raise Killed
        if connection is None:
            raise ConnectionError("the answer to the commit is lost")
        connection.terminate()


class Mood(StrEnum):
    """How the provider takes a call; whatever it has in its books by then, it keeps."""

    ANSWERS = "answers"
    DEAF = "does not hear, and is silent"
    SILENT = "does it, and is silent"
    CALLER_DIES_BEFORE = "the caller dies before it hears"
    CALLER_DIES_AFTER = "the caller dies after it has done it"


SILENT = (Mood.DEAF, Mood.SILENT)
DEADLY = (Mood.CALLER_DIES_BEFORE, Mood.CALLER_DIES_AFTER)


class MoodyProvider:
    """The simulated provider behind a line that fails. ``lost`` is set when a call will never be answered."""

    def __init__(self, inner) -> None:
        self.inner = inner
        self.mood = Mood.ANSWERS
        self.lost = asyncio.Event()

    def charge(self, asked):
        return self._call(self.inner.charge, asked, [one.key for one in asked])

    def find(self, keys):
        return self._call(self.inner.find, keys, keys)

    def refund(self, asked):
        return self._call(self.inner.refund, asked, [one.key for one in asked])

    def find_refund(self, keys):
        return self._call(self.inner.find_refund, keys, keys)

    async def _call(self, call: Callable, asked, keys: Sequence[str]) -> AsyncIterator[Sequence[Said]]:
        mood = self.mood
        said = [] if mood in {Mood.DEAF, Mood.CALLER_DIES_BEFORE} else [each async for each in call(asked)]
        if mood in DEADLY:
            self.lost.set()
            await asyncio.Event().wait()
        if mood in SILENT:
            said = [[Said(key, Answer(outcome=Outcome.UNKNOWN, code="timeout")) for key in keys]]
        for each in said:
            yield each
