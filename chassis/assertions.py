"""Who comes to a service, the gateway or a neighbour, and on whose behalf: said with a key that is good there alone.

A service's edge key is known to it, and to whoever sets the shop up; from it follows the key of each who may come
(HMAC-SHA-256). So what is said to one service is worth nothing at another, and no key is ever sent.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import lru_cache
from hmac import compare_digest, digest

import httpx2
from loguru import logger
from pydantic import SecretStr

from chassis.caller import Caller
from chassis.ids import parse_typeid, typeid
from contracts.types import Role

HEADER = "X-Assertion"
NAME = HEADER.lower().encode()
GATEWAY = "gateway"
_REMEMBERED = 20_000
_RENEWED_EACH = 300  # seconds; one that is about nobody is good for once to twice as long
_LONGEST = 2_000
_WARNED_EACH = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Assertion:
    """Who asks (``by``), until when this may be believed (Unix time), and for whom, where it is about somebody."""

    by: str
    until: int
    caller: Caller | None = None


def key_of(edge_key: str, by: str, at: str) -> str:
    """The key that one who comes has at a service's edge."""
    return derived(edge_key, f"{by} at {at}").hex()


def derived(edge_key: str, purpose: str) -> bytes:
    """A key for one purpose, made of an edge key."""
    return digest(edge_key.encode(), purpose.encode(), "sha256")


class Asserter(httpx2.Auth):
    """Says to one service who comes; as ``auth`` of a client it does so with each request.

    Args:
        by: who comes.
        key: theirs at that service's edge.
        now: Unix time in seconds.
    """

    def __init__(self, by: str, key: SecretStr, now: Callable[[], float] = time.time) -> None:
        self._by = by
        self._key = key.get_secret_value().encode()
        self._now = now
        self._made = lru_cache(_REMEMBERED)(self._make)

    def said(self, caller: Caller | None = None) -> bytes:
        """What is sent in the header, on somebody's behalf or on nobody's: made once for as long as it lasts."""
        if caller is None:
            return self._made(None, (self._now() // _RENEWED_EACH + 2) * _RENEWED_EACH)
        return self._made(caller, caller.good_until)

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Called by the client."""
        request.headers[HEADER] = self.said().decode()
        yield request

    def _make(self, caller: Caller | None, until: float) -> bytes:
        what = " ".join([self._by, str(int(until)), *(_words(caller) if caller else ())]).encode()
        return b"%b %b" % (_mac(self._key, what), what)


class Assertions:
    """What is asserted to one service: tells who comes.

    Args:
        service: its name.
        key: its edge key.
        now: Unix time in seconds.
    """

    def __init__(self, service: str, key: SecretStr, now: Callable[[], float] = time.time) -> None:
        self._service = service
        self._key = key.get_secret_value()
        self._now = now
        self._read = lru_cache(_REMEMBERED)(self._authentic)
        self._quiet_until = 0.0

    def read(self, said: bytes) -> Assertion | None:
        """What the header says; None unless it was said to this service with a key. It may be over."""
        try:
            return self._read(said) if len(said) <= _LONGEST else None
        except ValueError:
            return None

    def comes(self, said: bytes) -> str | None:
        """Who comes; None unless it is said to this service with a key, and in time."""
        read = self.read(said)
        return read.by if read and read.until > self._now() else None

    def for_somebody(self, said: bytes) -> Assertion | None:
        """What the gateway says on somebody's behalf. No neighbour speaks for anybody. It may be over."""
        read = self.read(said)
        return read if read and read.caller and read.by == GATEWAY else None

    def warn(self) -> None:
        """Once in a while, that somebody came with a key that is none here."""
        if self._now() >= self._quiet_until:
            self._quiet_until = self._now() + _WARNED_EACH
            logger.warning("{}: somebody says who asks with a key that is none here; were keys changed?", self._service)

    def _authentic(self, said: bytes) -> Assertion:
        shown, _, what = said.partition(b" ")
        by, until, *words = what.decode("ascii").split(" ")
        key = key_of(self._key, by, self._service).encode()
        if not compare_digest(shown, _mac(key, what)):
            message = "said by nobody who has a key"
            raise ValueError(message)
        return Assertion(by, int(until), _caller(int(until), *words) if words else None)


def _mac(key: bytes, what: bytes) -> bytes:
    return digest(key, what, "sha256").hex().encode()


def _words(caller: Caller) -> list[str]:
    session = typeid("key" if caller.scopes else "ses", caller.session_id)
    return [caller.actor, session, caller.role.value, *sorted(caller.scopes)]


def _caller(until: int, user: str = "", session: str = "", role: str = "", *scopes: str) -> Caller:
    session_id = parse_typeid("key" if scopes else "ses", session)
    return Caller(parse_typeid("usr", user), Role(role), session_id, frozenset(scopes), until)
