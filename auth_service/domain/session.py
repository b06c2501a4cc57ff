"""Sessions: families of refresh tokens, of which at most one is active; the others were rotated, or revoked.

Whoever shows a rotated token holds a copy, or is whose token was copied: the session ends for both.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from auth_service.domain.attempt import TrySignIn
from auth_service.domain.identity import SignInWith
from auth_service.domain.lately import MOST, TooOften, another
from auth_service.domain.user import AccountDisabled, User
from contracts.types import Role

LONGEST = timedelta(days=90)  # that a session lives, however often it is refreshed (OWASP ASVS 5.0, 7.3.2)

WITHIN = timedelta(hours=1)  # in which 100 of a customer begin at most, and each is refreshed 100 times


class RefreshInvalid(Exception):
    """The refresh token is not one of an open session; sign in again."""


class RefreshExpired(Exception):
    """The refresh token has expired; sign in again."""


class RefreshReused(Exception):
    """The refresh token was used before; sign in again."""


class SessionUnknown(Exception):
    """There is no such session."""


class SessionOver(Exception):
    """The session of this access token has ended; sign in again."""


class Ending(StrEnum):
    LOGOUT = "logout"
    REVOKED = "revoked"
    REUSED = "reused"


class TokenState(StrEnum):
    ACTIVE = "active"
    ROTATED = "rotated"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A sign-in, on one client. ``current`` is the digest of its active refresh token.

    ``refreshes`` were in the hour of the last one, of the hours that go by from when it began.
    """

    id: UUID
    user_id: UUID
    generation: int
    current: bytes = field(repr=False)
    client: str | None
    created_at: datetime
    refreshed_at: datetime
    refreshes: int = 0
    expires_at: datetime
    ended_at: datetime | None = None
    ending: Ending | None = None

    @property
    def key(self) -> UUID:
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """``digest`` is the SHA-256 of the token, which itself is stored nowhere."""

    digest: bytes = field(repr=False)
    session_id: UUID
    state: TokenState = TokenState.ACTIVE
    issued_at: datetime
    expires_at: datetime

    @property
    def key(self) -> bytes:
        return self.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIns:
    """When a user's latest sessions began, in order, whatever has become of them."""

    user_id: UUID
    began: tuple[datetime, ...] = ()

    @property
    def key(self) -> UUID:
        return self.user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSession:
    """``proved`` is the password hash that the password matched."""

    user_id: UUID
    tried: TrySignIn
    proved: str = field(repr=False)
    digest: bytes = field(repr=False)
    client: str | None
    lasts: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate:
    user_id: UUID
    session_id: UUID
    digest: bytes = field(repr=False)
    successor: bytes = field(repr=False)
    lasts: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSession:
    user_id: UUID
    session_id: UUID
    ending: Ending


class SignedIn(NamedTuple):
    """What a sign-in or a refresh replies. No session: the refresh token was used before, so its session has ended."""

    user: User
    session: Session | None


Family = tuple[Session, tuple[RefreshToken, ...]]


def count(known: SignIns | None, user: User, *, now: datetime) -> SignIns:
    """With one more of this user. The shop's own people may sign in for each of their commands.

    Raises:
        auth_service.domain.lately.TooOften: when a customer has signed in too often within an hour.
    """
    before = known or SignIns(user_id=user.id)
    return replace(before, began=another(before.began, now, WITHIN)) if user.role is Role.CUSTOMER else before


def start(user: User, command: StartSession | SignInWith, *, session_id: UUID, now: datetime) -> Family:
    session = Session(
        id=session_id,
        user_id=user.id,
        generation=user.generation,
        current=command.digest,
        client=command.client,
        created_at=now,
        refreshed_at=now,
        expires_at=now + command.lasts,
    )
    return session, (_active(session),)


def _active(session: Session) -> RefreshToken:
    return RefreshToken(
        digest=session.current,
        session_id=session.id,
        issued_at=session.refreshed_at,
        expires_at=session.expires_at,
    )


def rotate(  # noqa: PLR0913 -- the things that one refresh is decided upon
    user: User | None,
    session: Session | None,
    shown: RefreshToken | None,
    active: RefreshToken | None,
    command: Rotate,
    *,
    now: datetime,
) -> tuple[Family, SignedIn]:
    """The family after this token was shown, and what to tell whoever showed it. A rotated token ends the session."""
    if user is None or session is None or shown is None:
        raise RefreshInvalid
    if shown.state is TokenState.ROTATED:
        return end(session, active, Ending.REUSED, now=now), SignedIn(user, None)
    renewed = _renewed(user, session, shown, command, now)
    return renewed, SignedIn(user, renewed[0])


def _renewed(user: User, session: Session, token: RefreshToken, command: Rotate, now: datetime) -> Family:
    """The session with a new active token in place of the one that was shown."""
    if user.disabled:
        raise AccountDisabled
    if token.state is not TokenState.ACTIVE or _is_over(session, user):
        raise RefreshInvalid
    over = session.created_at + LONGEST
    if min(token.expires_at, over) <= now:
        raise RefreshExpired
    renewed = replace(
        session,
        current=command.successor,
        refreshed_at=now,
        refreshes=_counted(session, now),
        expires_at=min(now + command.lasts, over),
    )
    return renewed, (replace(token, state=TokenState.ROTATED), _active(renewed))


def _counted(session: Session, now: datetime) -> int:
    """How often it was refreshed in this hour, once more. Each leaves a digest behind."""
    hour, last = ((moment - session.created_at) // WITHIN for moment in (now, session.refreshed_at))
    refreshes = session.refreshes + 1 if hour == last else 1
    if refreshes > MOST:
        raise TooOften(session.created_at + (hour + 1) * WITHIN - now)
    return refreshes


def present(user: User | None, session: Session | None) -> User:
    """Whoever asks, in a session that is open at this moment.

    Every edge hears within a minute that a session has ended. In that minute whoever has stolen it must not make a key
    that is good for a year, nor an administrator.
    """
    if user is None or session is None or session.user_id != user.id or _is_over(session, user):
        raise SessionOver
    return user


def _is_over(session: Session, user: User) -> bool:
    return session.ended_at is not None or session.generation != user.generation


def end(session: Session, active: RefreshToken | None, ending: Ending, *, now: datetime) -> Family:
    """The session ended, and its active token revoked; unchanged when it ended before."""
    if session.ended_at is not None:
        return session, ()
    ended = replace(session, ended_at=now, ending=ending)
    return ended, () if active is None else (replace(active, state=TokenState.REVOKED),)


def carry_along(session: Session, before: User, after: User) -> tuple[Session, ...]:
    """The session in the user's new generation, so that it goes on where the others end; none when it was over."""
    return () if _is_over(session, before) else (replace(session, generation=after.generation),)
