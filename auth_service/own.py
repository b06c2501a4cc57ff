"""What a process of auth_service keeps in memory: signing keys, the threads for passwords, refreshes under way."""

from asyncio import Lock, get_running_loop
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from auth_service import store
from auth_service.openid import OpenIdIssuer
from auth_service.passwords import Passwords
from auth_service.settings import Settings
from chassis.admission import Admission
from chassis.app import Parts
from chassis.database import OUTAGE, Database
from chassis.neighbours import DOCUMENT, at
from chassis.tokens import KeyPair

_READ_EVERY = 30.0
_EXPORTS = 8


class SigningKeys:
    """The keys: read when they are first needed, made when there are none, and read again each half a minute."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: store.SigningKeys | None = None
        self._read_at = float("-inf")
        self._reading = Lock()

    async def published(self) -> Sequence[KeyPair]:
        return (await self._current()).published

    async def signer(self) -> KeyPair:
        return (await self._current()).signer

    async def _current(self) -> store.SigningKeys:
        async with self._reading:
            keys = self._keys
            if keys is None or get_running_loop().time() - self._read_at > _READ_EVERY:
                keys = await self._read(keys)
        return keys

    async def _read(self, known: store.SigningKeys | None) -> store.SigningKeys:
        """Those that are known stay good while the database is away."""
        try:
            async with self._database.transaction() as tx:
                self._keys = keys = await store.take_signing_keys(tx)
        except OUTAGE:
            if known is None:
                raise
            return known
        self._read_at = get_running_loop().time()
        return keys


class Own:
    """``refreshing`` holds the digests of the refresh tokens whose rotation is under way in this process.

    ``exports`` bounds those that are told at once, of one user to one, of one place to
    half; their pages are asked for by ``export_turn``.
    """

    def __init__(self, parts: Parts) -> None:
        self.keys = SigningKeys(parts.database)
        self.passwords = Passwords(parts.settings.password_threads)
        self.refreshing: set[bytes] = set()
        self.openid: OpenIdIssuer | None = None
        self.exports = Admission(waiting=_EXPORTS, of_one=1)
        self.export_turn = Lock()


@asynccontextmanager
async def open_own(parts: Parts) -> AsyncIterator[Own]:
    own = Own(parts)
    # A database that is down, or has no schema yet, is no reason not to start: who needs the keys reads them again.
    with suppress(Exception):
        await own.keys.signer()
    settings: Settings = parts.settings
    async with at("", most=DOCUMENT) as client:
        if settings.openid_issuer:
            own.openid = OpenIdIssuer.behind(client, settings.openid_issuer, settings.openid_audience)
        yield own
