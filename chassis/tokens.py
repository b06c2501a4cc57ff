"""Access tokens: ES256 JWTs, issued by auth_service and checked offline by every edge. The only import of jose.

python-jose alone accepts tokens without ``exp`` or ``aud``, and lets a token choose its algorithm (6-facts.md, 32):
here the algorithm is pinned, the key is our own by its ``kid``, and every claim is required.
"""

import time
from asyncio import Lock
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from re import compile as pattern
from typing import Any, Literal
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jose import jwk, jws
from jose.backends.base import Key
from jose.exceptions import JOSEError
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json

from chassis.ids import SessionRef, UserRef, new_id, typeid
from contracts.types import Role

__all__ = [
    "Caller", "KeyPair", "KeysUnavailable", "Role", "TokenExpired", "TokenInvalid", "TokenMissing", "Verifier", "issue",
]  # fmt: skip

_AUDIENCE = "ordermill"
_LONGEST = 4096
# base64url alone, which the decoder would not insist on, and the 64 bytes of an ES256 signature.
_SHAPE = pattern(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}")
_ALGORITHM = "ES256"
_ASK_AGAIN = 5.0
_NOBODY: tuple[None, int] = (None, 0)
_ASK_AGAIN_AFTER_FAILURE = 0.5


class TokenMissing(Exception):
    """Send an access token in the header Authorization."""


class TokenInvalid(Exception):
    """The access token is not one of ours."""


class TokenExpired(Exception):
    """The access token has expired; refresh it."""


class KeysUnavailable(Exception):
    """The keys that tokens are checked with cannot be fetched now."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the user behind a checked access token. A session has no scopes: it may do whatever its role may."""

    user_id: UUID
    role: Role
    session_id: UUID
    scopes: frozenset[str] = frozenset()

    @property
    def is_staff(self) -> bool:
        """Whether they work here."""
        return self.role is not Role.CUSTOMER

    @property
    def actor(self) -> str:
        """The user's TypeID, as histories name them."""
        return typeid("usr", self.user_id)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An ES256 key to sign with. ``kid`` is the RFC 7638 thumbprint of its public half."""

    kid: str
    private_pem: str = field(repr=False)
    public_jwk: Mapping[str, str]
    signer: Key = field(repr=False, compare=False)

    @classmethod
    def new(cls) -> "KeyPair":
        """A key that nobody has seen before."""
        key = ec.generate_private_key(ec.SECP256R1())
        return cls.load(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())

    @classmethod
    def load(cls, private_pem: str) -> "KeyPair":
        """The key that was stored as PEM.

        Raises:
            jose.exceptions.JWKError: when it is no private key on a curve.
        """
        signer = jwk.construct(private_pem, _ALGORITHM)
        numbers = {name: str(value) for name, value in signer.to_dict().items() if name in {"crv", "kty", "x", "y"}}
        # RFC 7638: the required members alone, in lexicographic order, without white space.
        thumbprint = sha256(to_json(dict(sorted(numbers.items())))).digest()
        kid = urlsafe_b64encode(thumbprint).decode().rstrip("=")
        return cls(kid, private_pem, {**numbers, "kid": kid, "use": "sig", "alg": _ALGORITHM}, signer)


def issue(
    pair: KeyPair, caller: Caller, *, issuer: str, now: float, lifetime: timedelta = timedelta(minutes=10)
) -> str:
    """A signed access token for a caller. ``now`` is Unix time in seconds."""
    claims = {
        "iss": issuer,
        "aud": _AUDIENCE,
        "sub": caller.actor,
        "sid": typeid("ses", caller.session_id),
        "role": caller.role.value,
        "scope": " ".join(sorted(caller.scopes)),
        "typ": "access",
        "jti": new_id().hex,
        "iat": int(now),
        "exp": int(now + lifetime.total_seconds()),
    }
    return jws.sign(claims, pair.signer, headers={"kid": pair.kid}, algorithm=_ALGORITHM)


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True)

    iss: str
    aud: Literal["ordermill"]
    sub: UserRef
    sid: SessionRef
    role: Role
    scope: str = ""
    typ: Literal["access"]
    jti: str
    iat: int
    exp: int


class Verifier:
    """Checks access tokens against our JWKS. A token that was checked costs a look into a dictionary until it expires.

    Args:
        fetch_jwks: reads ``/.well-known/jwks.json``; asked when a token names an unknown key, at most each 5 s.
        issuer: the ``iss`` that tokens must carry.
        now: Unix time in seconds.
        size: how many checked tokens are remembered; the one unused for longest is forgotten first.
    """

    def __init__(
        self,
        fetch_jwks: Callable[[], Awaitable[Mapping[str, Any]]],
        *,
        issuer: str,
        now: Callable[[], float] = time.time,
        size: int = 20_000,
    ) -> None:
        self._fetch = fetch_jwks
        self._issuer = issuer
        self._now = now
        self._size = size
        self._checked: OrderedDict[str, tuple[Caller, int]] = OrderedDict()
        self._keys: dict[str, Key] = {}
        self._ask_at = 0.0
        self._failed = False
        self._asking = Lock()

    async def verify(self, token: str) -> Caller:
        """The caller behind an access token.

        Raises:
            TokenMissing: when there is none.
            TokenInvalid: when it is not one of ours: forged, for somebody else, oversized, no JWT at all.
            TokenExpired: when it was ours.
            KeysUnavailable: when it names a key that may be new, and auth_service does not answer.
        """
        return self.known(token) or await self._check(token)

    def known(self, token: str) -> Caller | None:
        """The caller behind a token that was checked before and is still good."""
        caller, expires = self._checked.get(token, _NOBODY)
        if caller is not None:
            if expires > self._now():
                self._checked.move_to_end(token)
            else:
                del self._checked[token]
                caller = None
        return caller

    async def _check(self, token: str) -> Caller:
        if not token:
            raise TokenMissing
        if len(token) > _LONGEST or not _SHAPE.fullmatch(token):
            raise TokenInvalid
        claims = self._claims(token, await self._key(_kid(token)))
        if claims.exp <= self._now():
            raise TokenExpired
        caller = Caller(claims.sub, claims.role, claims.sid, frozenset(claims.scope.split()))
        self._checked[token] = caller, claims.exp
        if len(self._checked) > self._size:
            self._checked.popitem(last=False)
        return caller

    def _claims(self, token: str, key: Key) -> _Claims:
        try:
            claims = _Claims.model_validate_json(jws.verify(token, key, [_ALGORITHM]))
        except (JOSEError, ValidationError) as wrong:
            raise TokenInvalid from wrong
        if claims.iss != self._issuer:
            raise TokenInvalid
        return claims

    async def _key(self, kid: str) -> Key:
        if kid not in self._keys:
            async with self._asking:
                if kid not in self._keys and self._now() >= self._ask_at:
                    await self._refresh()
        if kid in self._keys:
            return self._keys[kid]
        raise KeysUnavailable if self._failed else TokenInvalid

    async def _refresh(self) -> None:
        try:
            keys = [key for key in (await self._fetch())["keys"] if key["alg"] == _ALGORITHM]
            self._keys = {key["kid"]: jwk.construct(dict(key), _ALGORITHM) for key in keys}
        except Exception:  # noqa: BLE001 -- whatever stands between us and the keys, those that are known stay good
            self._failed, self._ask_at = True, self._now() + _ASK_AGAIN_AFTER_FAILURE
        else:
            self._failed, self._ask_at = False, self._now() + _ASK_AGAIN


def _kid(token: str) -> str:
    try:
        kid = jws.get_unverified_header(token).get("kid")
    except (JOSEError, RecursionError) as wrong:
        raise TokenInvalid from wrong
    if not isinstance(kid, str):
        raise TokenInvalid
    return kid
