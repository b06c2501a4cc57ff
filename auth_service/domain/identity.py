"""Who somebody is elsewhere: the subject of a trusted OpenID issuer, which stands for one account here."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from auth_service.domain.user import AccountDisabled, EmailClaim, EmailTaken, RegisterUser, User, register
from contracts.accounts import UserRegistered


class TokenUsed(Exception):
    """The ID token was exchanged before; sign in with the issuer again."""


class AddressNotVerified(Exception):
    """The issuer tells no e-mail address that it has verified; the first sign-in needs one."""


class NoIssuer(Exception):
    """The shop trusts no OpenID issuer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    issuer: str
    subject: str = field(repr=False)
    user_id: UUID
    created_at: datetime

    @property
    def key(self) -> tuple[str, str]:
        return self.issuer, self.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInWith:
    """Somebody comes with an ID token, of which the session's id is derived: so it opens one session.

    ``email`` is None where the issuer has not verified it.
    """

    issuer: str
    subject: str = field(repr=False)
    email: str | None = field(repr=False)
    full_name: str | None = field(repr=False)
    session_id: UUID
    digest: bytes = field(repr=False)
    client: str | None
    place: bytes = field(repr=False)
    lasts: timedelta


Newcomer = tuple[User, tuple[EmailClaim | Identity, ...], tuple[UserRegistered, ...]]


def recognise(user: User | None) -> User:
    """Whom the identity stands for."""
    if user is None or user.disabled:
        raise AccountDisabled
    return user


def welcome(claim: EmailClaim | None, command: SignInWith, *, user_id: UUID, now: datetime) -> Newcomer:
    """A new account without a password. One that has this address is never taken over, whatever an issuer says."""
    if command.email is None:
        raise AddressNotVerified
    if claim is not None:
        raise EmailTaken
    registration = RegisterUser(email=command.email, password_hash="", full_name=command.full_name)
    user, claimed, events = register(None, registration, user_id=user_id, now=now)
    identity = Identity(issuer=command.issuer, subject=command.subject, user_id=user_id, created_at=now)
    return user, (claimed, identity), events
