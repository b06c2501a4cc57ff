"""What happened to accounts, noted for whoever has to find out later: added to, never changed, and naming nobody."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from auth_service.domain.session import Ending, Session
from auth_service.domain.user import User


class What(StrEnum):
    REGISTERED = "registered"
    SIGNED_IN = "signed_in"
    REFUSED = "refused"
    SIGNED_OUT = "signed_out"
    SESSION_REVOKED = "session_revoked"
    TOKEN_REUSED = "token_reused"  # noqa: S105 -- a word of the record, no secret
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 -- as above
    ROLE_CHANGED = "role_changed"
    DISABLED = "disabled"
    ENABLED = "enabled"
    ERASED = "erased"
    EXPORTED = "exported"
    API_KEY_CREATED = "api_key_created"
    API_KEY_REVOKED = "api_key_revoked"


_ENDINGS = {
    Ending.LOGOUT: What.SIGNED_OUT,
    Ending.REVOKED: What.SESSION_REVOKED,
    Ending.REUSED: What.TOKEN_REUSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEvent:
    """``user_id`` is whom it is about, ``place`` a keyed digest of where they were; None for what is not known.

    ``request_id`` leads to the line of the log that names the address.
    """

    id: UUID
    what: What
    user_id: UUID | None
    actor: str
    place: bytes | None = field(default=None, repr=False)
    note: str = ""
    request_id: str
    created_at: datetime

    @property
    def key(self) -> UUID:
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteRefusal:
    """Who they said they were was not believed, or is kept out. An address that has no account is nobody's."""

    user_id: UUID | None
    place: bytes = field(repr=False)
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteExport:
    user_id: UUID


def of_session(before: Session | None, after: Session) -> Iterator[What]:
    """What the end of a session is called; nothing for one that had ended."""
    if after.ending is not None and (before is None or before.ending is None):
        yield _ENDINGS[after.ending]


def of_account(before: User, after: User) -> Iterator[tuple[What, str]]:
    """What an administrator's change of an account is called, with what it was and is."""
    if before.role != after.role:
        yield What.ROLE_CHANGED, f"{before.role} → {after.role}"
    if before.disabled != after.disabled:
        yield (What.DISABLED if after.disabled else What.ENABLED), ""
