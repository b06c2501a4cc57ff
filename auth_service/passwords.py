"""Passwords: Argon2id with 19 MiB and two passes, in few threads behind a line, so that sign-ins starve nobody."""

import asyncio

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from chassis.line import Line

_HASHES = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1),))
# The hash of no password, with the same costs: comparing with it takes as long as with a real one.
_NOBODYS = f"$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'A' * 43}"


_IN_LINE = 40  # behind those who are served, at some 50 ms each


class TooManySignIn(Exception):
    """Too many sign in or register at once. Try again."""


class Passwords:
    """Makes and compares hashes, at most ``threads`` at once; a few more wait for their turn, others are refused.

    ``place`` is where a request comes from, as ``throttling.site`` calls it.

    Raises:
        TooManySignIn: when the line is full, and of those who are in it as many come from this place.
    """

    def __init__(self, threads: int = 2) -> None:
        self._line = Line(threads, _IN_LINE, TooManySignIn)

    async def hash(self, password: str, place: bytes = b"") -> str:
        async with self._line.turn(place):
            return await asyncio.to_thread(_HASHES.hash, password)

    async def match(self, password: str, password_hash: str | None, place: bytes = b"") -> bool:
        """Whether the password is the one behind the hash. Without a hash it takes as long, and is False."""
        async with self._line.turn(place):
            return await asyncio.to_thread(_match, password, password_hash)


def _match(password: str, password_hash: str | None) -> bool:
    return _HASHES.verify(password, password_hash or _NOBODYS)
