"""Access tokens: ES256 JWTs, issued by auth_service and checked offline by every edge.

python-jose alone accepts tokens without ``exp``, or without the ``aud`` that it is told: here every claim is required.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from chassis.assertions import Assertion
from chassis.caller import Caller
from chassis.ids import KeyRef, SessionRef, UserRef, new_id, typeid
from chassis.keys import KeyPair, KeysUnavailable, PublishedKeys, TokenInvalid
from chassis.revocations import ASK_AGAIN, EVERY, Revocations, RevocationsUnavailable
from contracts.types import Role

__all__ = [
    "Caller", "KeyPair", "KeysUnavailable", "Role", "TokenExpired", "TokenInvalid", "TokenMissing", "TokenRevoked",
    "Verifier", "issue",
]  # fmt: skip

_AUDIENCE = "ordermill"
_KEYS_EVERY = 60.0
_CLOCKS = 60.0  # seconds by which that of auth_service may be ahead of ours


class TokenMissing(Exception):
    """Send an access token in the header Authorization."""


class TokenExpired(Exception):
    """The access token has expired; refresh it."""


class TokenRevoked(TokenInvalid):
    """The session of this access token has ended; sign in again."""


REFUSALS: dict[type[Exception], str] = {
    TokenMissing: "token_missing",
    TokenInvalid: "token_invalid",
    TokenExpired: "token_expired",
    KeysUnavailable: "unavailable",
    RevocationsUnavailable: "unavailable",
}


def issue(
    pair: KeyPair, caller: Caller, *, issuer: str, now: float, lifetime: timedelta = timedelta(minutes=10)
) -> str:
    """A signed access token for a caller. ``now`` is Unix time in seconds."""
    claims = {
        "iss": issuer,
        "aud": _AUDIENCE,
        "sub": caller.actor,
        "sid": typeid("key" if caller.scopes else "ses", caller.session_id),
        "role": caller.role.value,
        "scope": " ".join(sorted(caller.scopes)),
        "typ": "access",
        "jti": new_id().hex,
        "iat": int(now),
        "exp": int(now + lifetime.total_seconds()),
    }
    return pair.sign(claims)


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True)

    iss: str
    aud: Literal["ordermill"]
    sub: UserRef
    sid: SessionRef | KeyRef
    role: Role
    scope: str = ""
    typ: Literal["access"]
    jti: str
    iat: int
    exp: int
    nbf: int = 0


class Verifier:
    """Checks access tokens against our JWKS, and whether they have ended; of what the gateway asserts only that.

    What was checked costs a look into a dictionary until it expires.

    Args:
        fetch_jwks: reads ``/.well-known/jwks.json``; asked when a token names an unknown key, at most each 5 s.
        fetch_ended: reads which sessions and keys have ended; None where nobody can tell.
        issuer: the ``iss`` that tokens must carry.
        now: Unix time in seconds.
        size: how many checked tokens are remembered; the one unused for longest is forgotten first.
    """

    def __init__(
        self,
        fetch_jwks: Callable[[], Awaitable[Mapping[str, Any]]],
        fetch_ended: Callable[[], Awaitable[Collection[UUID]]] | None = None,
        *,
        issuer: str,
        now: Callable[[], float] = time.time,
        size: int = 20_000,
    ) -> None:
        self._issuer = issuer
        self._now = now
        self._size = size
        self._checked: OrderedDict[str | Assertion, Caller] = OrderedDict()
        self._keys = PublishedKeys(fetch_jwks, now=now, lost=self._checked.clear)
        self._keys_due_at = 0.0
        self.revocations = Revocations(fetch_ended, self._drop) if fetch_ended else None

    async def verify(self, shown: str | Assertion) -> Caller:
        """The caller behind an access token, or of whom the gateway has checked one.

        Raises:
            TokenMissing: when there is none.
            TokenInvalid: when it is not one of ours: forged, for somebody else, oversized, no JWT at all; or revoked.
            TokenExpired: when it was ours.
            KeysUnavailable: when it names a key that may be new, and auth_service does not answer.
            chassis.revocations.RevocationsUnavailable: when auth_service has not answered for long.
        """
        return self.known(shown) or await self._check(shown)

    def known(self, shown: str | Assertion) -> Caller | None:
        """The caller behind what was checked before and is still good."""
        caller = self._checked.get(shown)
        if caller is None:
            return None
        if caller.good_until <= self._now():
            del self._checked[shown]
            return None
        self._checked.move_to_end(shown)
        return caller

    async def has_ended(self, session_id: UUID) -> bool:
        """Whether a session or a key that was good has ended meanwhile, or nobody can say that it has not."""
        try:
            return self.revocations is not None and await self.revocations.has(session_id)
        except RevocationsUnavailable:
            return True

    async def follow(self, revocations: Revocations) -> None:
        """Reads what has ended each 10 s, and the keys each minute, so that a new one is known before it is used."""
        while True:
            known = await revocations.read()
            if self._now() >= self._keys_due_at:
                await self._keys.refresh()
                self._keys_due_at = self._now() + _KEYS_EVERY
            await asyncio.sleep(EVERY if known else ASK_AGAIN)

    async def _check(self, shown: str | Assertion) -> Caller:
        caller = shown.caller if isinstance(shown, Assertion) else await self._caller(shown)
        if caller is None:
            raise TokenMissing
        if caller.good_until <= self._now():
            raise TokenExpired
        if self.revocations and await self.revocations.has(caller.session_id):
            raise TokenRevoked
        self._checked[shown] = caller
        if len(self._checked) > self._size:
            self._checked.popitem(last=False)
        return caller

    async def _caller(self, token: str) -> Caller | None:
        if not token:
            return None
        claims = _claims(await self._keys.payload(token))
        if claims.iss != self._issuer or max(claims.iat, claims.nbf) > self._now() + _CLOCKS:
            raise TokenInvalid
        return Caller(claims.sub, claims.role, claims.sid, frozenset(claims.scope.split()), claims.exp)

    def _drop(self, ended: Collection[UUID] | None) -> None:
        """Whoever has ended has to be checked again, and is refused then; all have, where nobody knows who has."""
        if ended is None:
            self._checked.clear()
        elif ended:
            gone = [shown for shown, caller in self._checked.items() if caller.session_id in ended]
            for shown in gone:
                del self._checked[shown]


def _claims(payload: bytes) -> _Claims:
    try:
        return _Claims.model_validate_json(payload)
    except ValidationError as wrong:
        raise TokenInvalid from wrong
