"""Passwords: Argon2id with 19 MiB and two passes, in threads behind a semaphore, so that sign-ins starve nobody."""

import asyncio
from asyncio import Semaphore
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

_HASHES = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1),))
# The hash of no password, with the same costs: comparing with it takes as long as with a real one.
_NOBODYS = f"$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'A' * 43}"


_IN_LINE = 40  # behind those who are served, at some 50 ms each
_OF_A_PLACE = 20  # of those: whoever asks again and again from one address fills no line


class TooManySignIn(Exception):
    """Too many sign in or register at once. Try again."""


class Passwords:
    """Makes and compares hashes, at most ``threads`` at once; a few more wait for their turn, others are refused.

    ``place`` is where a request comes from, as ``throttling.where`` calls it.
    """

    def __init__(self, threads: int = 2) -> None:
        self._free = Semaphore(threads)
        self._in_line: Counter[bytes] = Counter()

    async def hash(self, password: str, place: bytes = b"") -> str:
        async with self._turn(place):
            return await asyncio.to_thread(_HASHES.hash, password)

    async def match(self, password: str, password_hash: str | None, place: bytes = b"") -> bool:
        """Whether the password is the one behind the hash. Without a hash it takes as long, and is False."""
        async with self._turn(place):
            return await asyncio.to_thread(_match, password, password_hash)

    @asynccontextmanager
    async def _turn(self, place: bytes) -> AsyncIterator[None]:
        is_long = self._in_line.total() >= _IN_LINE or self._in_line[place] >= _OF_A_PLACE
        if self._free.locked() and is_long:
            raise TooManySignIn
        self._in_line[place] += 1
        try:
            await self._free.acquire()
        finally:
            self._in_line -= Counter((place,))  # and whoever is not there any more is forgotten
        try:
            yield
        finally:
            self._free.release()


def _match(password: str, password_hash: str | None) -> bool:
    return _HASHES.verify(password, password_hash or _NOBODYS)
