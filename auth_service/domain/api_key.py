"""API keys: for programs that act as their owner, within scopes and for a limited time. The key itself is not kept."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from auth_service.domain.lately import another
from auth_service.domain.user import AccountDisabled, Asker, User

MOST = 20
WITHIN = timedelta(days=1)  # in which 100 are made at most, revoked ones too
NOTED_EVERY = timedelta(seconds=30)


class ApiKeyInvalid(Exception):
    """The API key is not one that works."""


class ApiKeyUnknown(Exception):
    """There is no such API key."""


class TooManyApiKeys(Exception):
    """There are 20 API keys already; revoke one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """``digest`` is the SHA-256 of the key, ``hint`` how it begins."""

    id: UUID
    user_id: UUID
    digest: bytes = field(repr=False)
    hint: str
    name: str = field(repr=False)
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def key(self) -> bytes:
        return self.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """How many of a user's keys work or may work again, and when the latest were made, in order."""

    user_id: UUID
    count: int = 0
    made: tuple[datetime, ...] = ()

    @property
    def key(self) -> UUID:
        return self.user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysEnded:
    """The order to end all keys of a user; saving it does so."""

    user_id: UUID

    @property
    def key(self) -> UUID:
        return self.user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateApiKey:
    by: Asker
    digest: bytes = field(repr=False)
    hint: str
    name: str = field(repr=False)
    scopes: tuple[str, ...]
    lasts: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeApiKey:
    user_id: UUID
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UseApiKey:
    digest: bytes = field(repr=False)


def create(
    user: User, ring: KeyRing | None, command: CreateApiKey, *, key_id: UUID, now: datetime
) -> tuple[ApiKey, KeyRing]:
    known = ring or KeyRing(user_id=user.id)
    if known.count >= MOST:
        raise TooManyApiKeys
    made = another(known.made, now, WITHIN)
    key = ApiKey(
        id=key_id,
        user_id=user.id,
        digest=command.digest,
        hint=command.hint,
        name=command.name,
        scopes=command.scopes,
        created_at=now,
        expires_at=now + command.lasts,
    )
    return key, replace(known, count=known.count + 1, made=made)


def use(key: ApiKey | None, user: User | None, *, now: datetime) -> ApiKey:
    """The key, noted as used unless that was noted just before."""
    if key is None or user is None or key.revoked_at is not None or key.expires_at <= now:
        raise ApiKeyInvalid
    if user.disabled:
        raise AccountDisabled
    noted = key.last_used_at
    return key if noted is not None and now - noted < NOTED_EVERY else replace(key, last_used_at=now)


def revoke(key: ApiKey | None, command: RevokeApiKey, *, now: datetime) -> ApiKey:
    if key is None or key.user_id != command.user_id or key.revoked_at is not None:
        raise ApiKeyUnknown
    return replace(key, revoked_at=now)


def end_all(ring: KeyRing | None) -> tuple[tuple[KeysEnded, ...], str]:
    """What ends a user's keys, and how the record tells it; nothing where there are none."""
    if ring is None or not ring.count:
        return (), ""
    return (KeysEnded(user_id=ring.user_id),), f"API keys ended: {ring.count}"
