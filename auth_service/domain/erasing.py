"""Erasing a user on request (GDPR, article 17): what says who they are is overwritten at once, everywhere.

The row stays, so that what they ordered still belongs to somebody, whom nobody knows any more. It is told twice: an
order that was on its way with a token that was still good would keep its address otherwise.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from auth_service.domain.user import Asker, User
from contracts.accounts import UserErased
from contracts.types import UserId

AGAIN_AFTER = timedelta(minutes=3)  # by then every edge has refused them for two


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseUser:
    """``by`` is the administrator who asks."""

    user_id: UUID
    by: Asker


@dataclass(frozen=True, slots=True, kw_only=True)
class TellErasedAgain:
    user_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """The order to overwrite what is kept beside the user's own row; saving it does so."""

    user_id: UUID
    email: str = field(repr=False)

    @property
    def key(self) -> UUID:
        return self.user_id


def erase(user: User, *, now: datetime) -> tuple[User, Erasure, tuple[UserErased, ...]]:
    erased = replace(
        user,
        email=f"{user.id}@erased.invalid",
        password_hash="",
        full_name=None,
        phone_number=None,
        disabled_at=user.disabled_at or now,
        erased_at=now,
        erase_again_at=now + AGAIN_AFTER,
        generation=user.generation + 1,
        sessions_ended_at=now,
        version=user.version + 1,
        updated_at=now,
    )
    return erased, Erasure(user_id=user.id, email=user.email), (_told(erased),)


def tell_again(user: User | None, *, now: datetime) -> tuple[User | None, tuple[UserErased, ...]]:
    """The user when it was time, and the event; else nobody and nothing."""
    if user is None or user.erase_again_at is None or user.erase_again_at > now:
        return None, ()
    return replace(user, erase_again_at=None, version=user.version + 1, updated_at=now), (_told(user),)


def _told(user: User) -> UserErased:
    return UserErased(user_id=UserId(user.id), locale=user.locale)
