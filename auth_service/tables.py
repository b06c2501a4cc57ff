"""The tables of auth_service. Passwords and refresh tokens are kept as hashes only."""

from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from auth_service.domain.security_event import What
from auth_service.domain.session import Ending, TokenState
from chassis.migrations import add_chassis_tables
from contracts.types import Role

metadata = MetaData(schema="auth_service")


def _one_of(column: str, words: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_is_known")


users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("full_name", Text),
    Column("phone_number", Text),
    Column("locale", Text, nullable=False),
    Column("disabled_at", DateTime(timezone=True)),
    Column("erased_at", DateTime(timezone=True)),
    Column("erase_again_at", DateTime(timezone=True)),
    Column("generation", Integer, nullable=False),
    Column("sessions_ended_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("email", name="one_account_an_address"),
    CheckConstraint("email = lower(email)", name="email_is_normalised"),
    _one_of("role", Role),
    Index("users_by_time", "created_at", "id"),
    CheckConstraint("erased_at IS NULL OR disabled_at IS NOT NULL", name="erased_ones_are_disabled"),
    Index("users_to_erase_again", "erase_again_at", postgresql_where=text("erase_again_at IS NOT NULL")),
    Index("users_signed_out", "sessions_ended_at", postgresql_where=text("sessions_ended_at IS NOT NULL")),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey(users.c.id), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("current", LargeBinary, nullable=False),
    Column("client", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("refreshed_at", DateTime(timezone=True), nullable=False),
    Column("refreshes", Integer, nullable=False, server_default=text("0")),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("ending", Text),
    _one_of("ending", Ending),
    CheckConstraint("(ended_at IS NULL) = (ending IS NULL)", name="ended_for_a_reason"),
    Index("sessions_of_user", "user_id", "id"),
    Index("sessions_of_user_by_time", "user_id", "created_at", "id"),
    Index("sessions_by_expiry", "expires_at"),
    Index("sessions_ended", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
    postgresql_with={"fillfactor": 80},
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("session_id", Uuid, ForeignKey(sessions.c.id, ondelete="CASCADE"), nullable=False),
    Column("state", Text, nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    _one_of("state", TokenState),
    # Two refreshes at once cannot both leave a token that works (promise A1).
    Index("one_active_token_a_session", "session_id", unique=True, postgresql_where=text("state = 'active'")),
    Index("refresh_tokens_of_session", "session_id"),
    Index("refresh_tokens_by_expiry", "expires_at"),
)

# A key without scopes would be taken for a session, which may do whatever its user may.
api_keys = Table(
    "api_keys",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("id", Uuid, nullable=False, unique=True),
    Column("user_id", Uuid, ForeignKey(users.c.id), nullable=False),
    Column("hint", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("last_used_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    CheckConstraint("jsonb_array_length(scopes) > 0", name="scopes_are_given"),
    Index("api_keys_of_user", "user_id", "created_at", "id"),
    Index("api_keys_that_work", "user_id", "created_at", "id", postgresql_where=text("revoked_at IS NULL")),
    Index("api_keys_revoked", "revoked_at", postgresql_where=text("revoked_at IS NOT NULL")),
    Index("api_keys_by_expiry", "expires_at"),
    postgresql_with={"fillfactor": 80},
)

identities = Table(
    "identities",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("user_id", Uuid, ForeignKey(users.c.id), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index("identities_of_user", "user_id"),
)

# Digests only: who tried to sign in from where is nobody's to read.
tries = Table(
    "tries",
    metadata,
    Column("account", LargeBinary, primary_key=True),
    Column("place", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("free_at", DateTime(timezone=True), nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("failures >= 0", name="failures_are_counted"),
    Index("tries_by_age", "last_at"),
    postgresql_with={"fillfactor": 70},
)

security_events = Table(
    "security_events",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("what", Text, nullable=False),
    Column("user_id", Uuid),
    Column("actor", Text, nullable=False),
    Column("place", LargeBinary),
    Column("note", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    _one_of("what", What),
    Index("security_events_by_time", "created_at", "id"),
    Index("security_events_of_user", "user_id", "created_at", "id"),
    info={"append_only": True},
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("private_pem", Text, nullable=False),
    Column("public_jwk", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)

add_chassis_tables(metadata)
