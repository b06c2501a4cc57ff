"""Keys of tokens: our own ES256 pairs, and those that an issuer publishes. The only import of jose.

python-jose 3.5 alone lets a token choose its algorithm, HMAC with a public key included: here it is the key's, and the
key is the issuer's own by its ``kid``.
"""

import math
from asyncio import Lock
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from re import Pattern
from re import compile as pattern
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jose import jwk, jws
from jose.backends.base import Key
from jose.exceptions import JOSEError
from pydantic_core import to_json

ES256 = "ES256"
# base64url alone, which the decoder would not insist on, and the 64 bytes of an ES256 signature.
OURS = pattern(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}")
ANY = pattern(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_LONGEST = 4096
_EXTENSIONS = {"crit", "b64"}
_ASK_AGAIN = 5.0
_ASK_AGAIN_AFTER_FAILURE = 0.5
_KINDS = {"EC": ES256, "RSA": "RS256"}

Jwks = Mapping[str, Any]


class TokenInvalid(Exception):
    """The access token is not one of ours."""


class KeysUnavailable(Exception):
    """The keys that tokens are checked with cannot be fetched now."""


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
        signer = jwk.construct(private_pem, ES256)
        numbers = {name: str(value) for name, value in signer.to_dict().items() if name in {"crv", "kty", "x", "y"}}
        # RFC 7638: the required members alone, in lexicographic order, without white space.
        thumbprint = sha256(to_json(dict(sorted(numbers.items())))).digest()
        kid = urlsafe_b64encode(thumbprint).decode().rstrip("=")
        return cls(kid, private_pem, {**numbers, "kid": kid, "use": "sig", "alg": ES256}, signer)

    def sign(self, claims: Mapping[str, Any]) -> str:
        """The claims as a JWS that names this key."""
        return jws.sign(dict(claims), self.signer, headers={"kid": self.kid}, algorithm=ES256)


class PublishedKeys:
    """The keys that an issuer publishes, by ``kid``.

    Args:
        fetch: reads its JWKS; asked when a token names an unknown key, at most each 5 s.
        now: Unix time in seconds.
        algorithms: keys of other ones are left alone. A key without ``alg`` is for RS256 or ES256, by its kind.
        shape: what its tokens look like.
        lost: called when a key is not published any more: what was checked with it is not to be believed.
        every: seconds after which keys that are known are asked for again; never, where somebody calls ``refresh``.
            Whoever names one of them meanwhile does not wait for it.
        queue: how many wait at once for the issuer's answer; whoever comes beyond is told to come again.
    """

    def __init__(  # noqa: PLR0913 -- what an issuer may differ in
        self,
        fetch: Callable[[], Awaitable[Jwks]],
        *,
        now: Callable[[], float],
        algorithms: frozenset[str] = frozenset({ES256}),
        shape: Pattern[str] = OURS,
        lost: Callable[[], None] = lambda: None,
        every: float = math.inf,
        queue: float = math.inf,
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._algorithms = algorithms
        self._shape = shape
        self._lost = lost
        self._every = every
        self._queue = queue
        self._keys: dict[str, tuple[Key, str]] = {}
        self._ask_at = self._read_at = 0.0
        self._failed = False
        self._asking = Lock()
        self._waiting = 0

    async def payload(self, token: str) -> bytes:
        """What is signed in a token.

        Raises:
            TokenInvalid: when it is not signed with one of the keys: forged, oversized, no JWS at all.
            KeysUnavailable: when it names a key that may be new, and the issuer does not answer.
        """
        if len(token) > _LONGEST or not self._shape.fullmatch(token):
            raise TokenInvalid
        key, algorithm = await self._key(_kid(token))
        try:
            return jws.verify(token, key, [algorithm])
        except JOSEError as wrong:
            raise TokenInvalid from wrong

    async def refresh(self) -> None:
        """Asks for the keys; those that are known stay good when they cannot be had."""
        async with self._asking:
            await self._read()

    async def _read(self) -> None:
        self._failed = True
        try:
            with suppress(Exception):  # whatever stands between us and the keys, those that are known stay good
                self._take(await self._fetch())
        finally:  # also where whoever asks has left meanwhile
            self._ask_at = self._now() + (_ASK_AGAIN_AFTER_FAILURE if self._failed else _ASK_AGAIN)

    def _take(self, jwks: Jwks) -> None:
        keys = [(key, _algorithm(key)) for key in jwks["keys"]]
        known = {key["kid"]: (key, name) for key, name in keys if name in self._algorithms}
        keys_now = {kid: (jwk.construct(dict(key), name), name) for kid, (key, name) in known.items()}
        gone, self._keys = self._keys.keys() - keys_now.keys(), keys_now
        self._failed, self._read_at = False, self._now()
        if gone:
            self._lost()

    async def _key(self, kid: str) -> tuple[Key, str]:
        is_good_meanwhile = kid in self._keys and self._asking.locked()
        if self._is_to_ask(kid) and not is_good_meanwhile:
            await self._ask_for(kid)
        if kid in self._keys:
            return self._keys[kid]
        raise KeysUnavailable if self._failed else TokenInvalid

    async def _ask_for(self, kid: str) -> None:
        if self._waiting >= self._queue:
            raise KeysUnavailable
        self._waiting += 1
        try:
            async with self._asking:
                if self._is_to_ask(kid) and self._now() >= self._ask_at:
                    await self._read()
        finally:
            self._waiting -= 1

    def _is_to_ask(self, kid: str) -> bool:
        return kid not in self._keys or self._now() - self._read_at >= self._every


def _algorithm(key: Mapping[str, Any]) -> str:
    return str(key.get("alg") or (key.get("use") != "enc" and _KINDS.get(key["kty"])))


def _kid(token: str) -> str:
    try:
        header = jws.get_unverified_header(token)
    except (JOSEError, RecursionError) as wrong:
        raise TokenInvalid from wrong
    kid = header.get("kid")
    # Extensions that must be understood are not understood here (RFC 7515, 4.1.11; RFC 7797): jose would ignore them.
    if not isinstance(kid, str) or not header.keys().isdisjoint(_EXTENSIONS):
        raise TokenInvalid
    return kid
