"""What a process of auth_service keeps in memory: signing keys, the threads for passwords, refreshes under way."""

from asyncio import Lock
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from auth_service import store
from auth_service.passwords import Passwords
from chassis.app import Parts
from chassis.database import OUTAGE, Database
from chassis.tokens import KeyPair


class SigningKeys:
    """The keys, newest first: read when they are first needed, and made when there are none."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pairs: list[KeyPair] = []
        self._reading = Lock()

    async def all(self) -> list[KeyPair]:
        async with self._reading:
            if not self._pairs:
                async with self._database.transaction() as tx:
                    self._pairs = await store.take_signing_keys(tx)
        return self._pairs

    async def newest(self) -> KeyPair:
        return (await self.all())[0]


class Own:
    """``refreshing`` holds the digests of the refresh tokens whose rotation is under way in this process."""

    def __init__(self, parts: Parts) -> None:
        self.keys = SigningKeys(parts.database)
        self.passwords = Passwords(parts.settings.password_threads)
        self.refreshing: set[bytes] = set()


@asynccontextmanager
async def open_own(parts: Parts) -> AsyncIterator[Own]:
    own = Own(parts)
    # A database that is down is no reason not to start: the keys are read again when somebody needs them.
    with suppress(*OUTAGE):
        await own.keys.all()
    yield own
