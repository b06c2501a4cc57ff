"""Who somebody is by an OpenID issuer that the shop trusts: its ID tokens, checked against its published keys."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from httpx2 import AsyncClient
from loguru import logger
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from pydantic_core import from_json

from auth_service.schemas import canonical
from chassis.keys import ANY, ES256, Jwks, PublishedKeys
from chassis.neighbours import TooLong
from chassis.tokens import TokenExpired, TokenInvalid
from contracts.text import ONE_LINE, is_unwanted

_ALGORITHMS = frozenset({ES256, "RS256"})
_OLDEST = 600.0  # seconds since it was issued: it is exchanged right after the sign-in, not kept
_CLOCKS = 60.0
_LONGEST_NAME = 200
_READ_WITHIN = 5.0  # both documents: one that comes drop by drop would keep all who wait for it
_QUEUE = 16  # of those who wait for them: strangers with made-up keys take no more places of the process
_KEYS_EVERY = 300.0  # so that a key that the issuer has withdrawn is not believed for longer
_WELL_KNOWN = "/.well-known/openid-configuration"


class WrongIssuer(Exception):
    """The document of the OpenID issuer is another's, or names keys that are not behind https."""


class Person(BaseModel):
    """The claims of an ID token (OpenID Connect Core 1.0, 2 and 5.1)."""

    model_config = ConfigDict(strict=True, frozen=True)

    iss: str
    sub: Annotated[str, Field(min_length=1, max_length=255), ONE_LINE]
    aud: str | list[str]
    azp: str | None = None
    exp: FiniteFloat
    iat: FiniteFloat
    nbf: FiniteFloat = 0.0
    email: str | None = Field(default=None, repr=False)
    email_verified: bool = False
    name: str | None = Field(default=None, repr=False)

    @property
    def address(self) -> str | None:
        """The e-mail address, where the issuer has made sure that it is theirs."""
        if self.email is None or not self.email_verified:
            return None
        try:
            return canonical(self.email)
        except ValueError:
            return None

    @property
    def full_name(self) -> str | None:
        """Their name, where it is one that an account can have."""
        name = " ".join((self.name or "").split())
        return name[:_LONGEST_NAME] if name and not is_unwanted(name) else None


class OpenIdIssuer:
    """A trusted issuer; ``audience`` is what it calls the shop (the client's id)."""

    def __init__(self, issuer: str, audience: str, keys: PublishedKeys, now: Callable[[], float] = time.time) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._now = now

    @classmethod
    def behind(cls, client: AsyncClient, issuer: str, audience: str) -> "OpenIdIssuer":
        """The issuer at its URL; its keys are where its own document says."""

        async def fetch() -> Jwks:
            async with asyncio.timeout(_READ_WITHIN):
                told = await _json(client, issuer.rstrip("/") + _WELL_KNOWN)
                where = str(told["jwks_uri"])
                if told["issuer"] != issuer or not _is_guarded(where, issuer):
                    logger.error("the OpenID issuer {} has another one's document, or its keys are unguarded", issuer)
                    raise WrongIssuer
                return await _json(client, where)

        keys = PublishedKeys(fetch, now=time.time, algorithms=_ALGORITHMS, shape=ANY, every=_KEYS_EVERY, queue=_QUEUE)
        return cls(issuer, audience, keys)

    async def person(self, token: str) -> Person:
        """Whom an ID token is about.

        Raises:
            TokenInvalid: when it is not signed by the issuer, or not for the shop.
            TokenExpired: when it has expired, or was issued more than ten minutes ago.
            chassis.keys.KeysUnavailable: when the issuer does not answer.
        """
        try:
            person = Person.model_validate_json(await self._keys.payload(token))
        except ValidationError as wrong:
            raise TokenInvalid from wrong
        now = self._now()
        if not self._is_for_us(person) or max(person.iat, person.nbf) > now + _CLOCKS:
            raise TokenInvalid
        if person.exp <= now or person.iat < now - _OLDEST:
            raise TokenExpired
        return person

    def _is_for_us(self, person: Person) -> bool:
        audiences = [person.aud] if isinstance(person.aud, str) else person.aud
        # Where there are others too, the party that it was issued to has to be us (Core, 3.1.3.7).
        party = person.azp if person.azp is not None or len(audiences) > 1 else self._audience
        return person.iss == self._issuer and self._audience in audiences and party == self._audience


def _is_guarded(where: str, issuer: str) -> bool:
    """Over TLS; or in the clear where the whole issuer is, on a laptop."""
    return where.startswith("https://") or issuer.startswith("http://")


async def _json(client: AsyncClient, url: str) -> Mapping[str, Any]:
    try:
        answer = await client.get(url)
    except TooLong:
        logger.error("the document of the OpenID issuer at {} is too long", url)
        raise
    told: Mapping[str, Any] = from_json(answer.raise_for_status().content)
    return told
