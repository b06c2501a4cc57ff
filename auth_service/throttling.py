"""What a request adds to: a sign-in to the tries of its account and of its place, a registration to its place's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hmac import digest
from uuid import UUID

from auth_service.digests import digest_of
from auth_service.domain.attempt import TakeBack, TryRegister, TrySignIn
from auth_service.domain.identity import TokenUsed
from auth_service.domain.security_event import NoteRefusal
from auth_service.domain.user import AccountDisabled, CredentialsWrong
from auth_service.own import Own
from auth_service.passwords import TooManySignIn
from auth_service.settings import Settings
from chassis.assertions import derived
from chassis.forwarded import origin
from chassis.http import Answer, Edge
from chassis.places import NETWORK, SITE


def account_of(email: str) -> bytes:
    return digest_of(email)


def trying(edge: Edge, email: str) -> TrySignIn:
    return TrySignIn(account=account_of(email), place=where(edge))


def registering(edge: Edge) -> TryRegister:
    settings: Settings = edge.parts.settings
    return TryRegister(place=where(edge, "registers from "), free=settings.registrations_at_once)


def site(edge: Edge) -> bytes:
    """Who takes turns in the line for passwords: of IPv6 whoever has a /48 is one."""
    return where(edge, "waits from ", prefix=SITE)


def where(edge: Edge, what: str = "", prefix: int = NETWORK) -> bytes:
    """A keyed digest stands for the place: there are so few addresses that a plain one would name them."""
    key = derived(edge.parts.settings.edge_key.get_secret_value(), "digests of places")
    return digest(key, f"{what}{origin(edge.scope, prefix)}".encode(), "sha256")


@asynccontextmanager
async def noting_refusals(edge: Edge, user_id: UUID | None) -> AsyncIterator[None]:
    """Whoever is not believed to be who they say, or is kept out, is noted before they are told."""
    try:
        yield
    except (CredentialsWrong, AccountDisabled, TokenUsed) as refusal:
        why = edge.parts.service.refusals[type(refusal)]
        await edge.run(NoteRefusal(user_id=user_id, place=where(edge), why=why), lambda _reply: Answer(None))
        raise


async def matches(edge: Edge, tried: TrySignIn, password: str, password_hash: str | None) -> bool:
    """Whether the password is the one behind the hash, which is looked at once this try is counted."""
    own: Own = edge.parts.own
    async with counted(edge, tried):
        return await own.passwords.match(password, password_hash, site(edge))


@asynccontextmanager
async def counted(edge: Edge, tried: TrySignIn | TryRegister) -> AsyncIterator[None]:
    """Around work that costs: the try counts beforehand, so that many at once are as many.

    Raises:
        auth_service.domain.attempt.TooManyTries: when it comes too early; then nothing is done.
        auth_service.passwords.TooManySignIn: when too many wait for their turn. It has not counted then.
    """
    await edge.parts.pipeline.submit(tried, render=lambda _reply: Answer(None))
    try:
        yield
    except TooManySignIn:
        await edge.parts.pipeline.submit(TakeBack(tried=tried))
        raise
