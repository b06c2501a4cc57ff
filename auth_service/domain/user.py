"""Accounts: registration, changes of profile, role and password, and disabling."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from auth_service.domain.attempt import TrySignIn
from contracts.accounts import UserRegistered
from contracts.types import Role, UserId


class EmailTaken(Exception):
    """An account with this e-mail address exists."""

    errors = (("#/email", "email_taken", "Sign in, or use another address."),)


class CredentialsWrong(Exception):
    """E-mail address or password is wrong."""


class AccountDisabled(Exception):
    """The account is disabled; ask the shop."""


class UserUnknown(Exception):
    """There is no such user."""


class NotAnAdministrator(Exception):
    """Only an administrator may do this, and you are none any more."""


class NotToOneself(Exception):
    """Nobody takes away their own role or account here; another administrator may."""


class VersionMismatch(Exception):
    """Somebody changed the account meanwhile; read it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account. All its sessions of an earlier ``generation`` are over, since ``sessions_ended_at``."""

    id: UUID
    email: str = field(repr=False)
    password_hash: str = field(repr=False)
    role: Role
    full_name: str | None = field(repr=False)
    phone_number: str | None = field(repr=False)
    locale: str
    disabled_at: datetime | None = None
    erased_at: datetime | None = None
    erase_again_at: datetime | None = None
    generation: int = 1
    sessions_ended_at: datetime | None = None
    version: int = 1
    created_at: datetime
    updated_at: datetime

    @property
    def key(self) -> UUID:
        return self.id

    @property
    def disabled(self) -> bool:
        return self.disabled_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailClaim:
    """Whose an address is. A registration names it, and so sees the one that came just before it in its batch."""

    email: str = field(repr=False)
    user_id: UUID

    @property
    def key(self) -> str:
        return self.email


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterUser:
    email: str = field(repr=False)
    password_hash: str = field(repr=False)
    role: Role = Role.CUSTOMER
    full_name: str | None = field(default=None, repr=False)
    phone_number: str | None = field(default=None, repr=False)
    locale: str = "en"


class Asker(NamedTuple):
    """Who asks, and in which session: what outlasts the session is decided on whether it is open at that moment."""

    user_id: UUID
    session_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateUser:
    """``fields`` are those of the profile and ``role``; ``seen`` is the version that the caller has read.

    ``by`` is the administrator who asks; None for oneself.
    """

    user_id: UUID
    by: Asker | None = None
    seen: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    disabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePassword:
    """``proved`` is the hash that the caller's old password matched; ``keep`` the session that does not end."""

    user_id: UUID
    tried: TrySignIn
    proved: str = field(repr=False)
    password_hash: str = field(repr=False)
    keep: UUID
    keep_api_keys: bool = False


def normalised(email: str) -> str:
    """Addresses that differ in case alone are one."""
    return email.strip().lower()


def register(
    claim: EmailClaim | None, command: RegisterUser, *, user_id: UUID, now: datetime
) -> tuple[User, EmailClaim, tuple[UserRegistered, ...]]:
    if claim is not None:
        raise EmailTaken
    user = User(
        id=user_id,
        email=normalised(command.email),
        password_hash=command.password_hash,
        role=command.role,
        full_name=command.full_name,
        phone_number=command.phone_number,
        locale=command.locale,
        created_at=now,
        updated_at=now,
    )
    event = UserRegistered(user_id=UserId(user_id), locale=user.locale)
    return user, EmailClaim(email=user.email, user_id=user_id), (event,)


def administer(admin: User, command: UpdateUser) -> None:
    """Whoever administers is an administrator at this moment, and stays one: so there is always one left."""
    if admin.role is not Role.ADMIN:
        raise NotAnAdministrator
    if admin.id == command.user_id and (command.disabled or command.fields.get("role", admin.role) != admin.role):
        raise NotToOneself


def known(user: User | None) -> User:
    """The account, unless there is none or it was erased."""
    if user is None or user.erased_at is not None:
        raise UserUnknown
    return user


def update(user: User, command: UpdateUser, *, now: datetime) -> User:
    if command.seen not in {None, user.version}:
        raise VersionMismatch
    disabled = user.disabled if command.disabled is None else command.disabled
    changed = replace(user, **command.fields, disabled_at=(user.disabled_at or now) if disabled else None)
    if changed == user:
        return user
    if (changed.role, changed.disabled or user.disabled) != (user.role, user.disabled):
        changed = _signed_out(changed, now)
    return replace(changed, version=user.version + 1, updated_at=now)


def _signed_out(user: User, now: datetime) -> User:
    return replace(user, generation=user.generation + 1, sessions_ended_at=now)


def change_password(user: User, command: ChangePassword, *, now: datetime) -> User:
    """The account with its new password, in a new generation: all its sessions are over until one is carried along."""
    changed = replace(user, password_hash=command.password_hash, version=user.version + 1, updated_at=now)
    return _signed_out(changed, now)


def proven(user: User | None, proved: str) -> User:
    """The account whose password was shown.

    A password is compared before its command is decided; when it was changed in between, what was shown is wrong.
    """
    if user is None or user.password_hash != proved:
        raise CredentialsWrong
    if user.disabled:
        raise AccountDisabled
    return user
