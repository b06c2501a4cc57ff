"""Builders of users, sessions and refresh tokens, and a driver that decides commands on what is remembered."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

from auth_service.domain.attempt import TrySignIn
from auth_service.domain.session import RefreshToken, Session
from auth_service.domain.user import EmailClaim, User
from auth_service.handlers import decisions
from auth_service.store import STORE
from chassis.decisions import Cause, Decision, State
from chassis.ids import derived_id
from chassis.store import MemoryStore
from contracts.types import Role

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
USER = UUID("01938000-0000-7000-8000-00000000000a")
SESSION = UUID("01938000-0000-7000-8000-00000000000b")
DAY = timedelta(days=1)
FIRST, SECOND, THIRD = b"first", b"second", b"third"
PASSWORD = "correct horse"
TRIED = TrySignIn(account=b"ann", place=b"home")


def a_user(**given) -> User:
    facts = {
        "id": USER,
        "email": "ann@example.com",
        "password_hash": "hash of the password",
        "role": Role.CUSTOMER,
        "full_name": "Ann Example",
        "phone_number": None,
        "locale": "en",
        "created_at": NOW - DAY,
        "updated_at": NOW - DAY,
    }
    return User(**facts | given)


def a_session(**given) -> Session:
    facts = {
        "id": SESSION,
        "user_id": USER,
        "generation": 1,
        "current": FIRST,
        "client": None,
        "created_at": NOW,
        "refreshed_at": NOW,
        "expires_at": NOW + DAY,
    }
    return Session(**facts | given)


def a_token(**given) -> RefreshToken:
    facts = {"digest": FIRST, "session_id": SESSION, "issued_at": NOW, "expires_at": NOW + DAY}
    return RefreshToken(**facts | given)


class Accounts:
    """The service's decisions over its things in memory, one command after the other."""

    def __init__(self, *things) -> None:
        self.store = MemoryStore(*STORE.rows.values())
        self.store.add(*things)
        self.now = NOW
        self._commands = 0

    def decide(self, command) -> Decision:
        self._commands += 1
        rule = decisions.rules[type(command)]
        loaded = asyncio.run(self.store.load(None, rule.names(command)))
        decision = rule.decide(State(loaded), command, self._cause())
        self.store.add(*decision.changes)
        return decision

    def _cause(self) -> Cause:
        return Cause(derived_id(USER, self._commands), self.now, "anonymous", "req_1")

    def user(self) -> User:
        return self.store.things[User, USER]

    def session(self) -> Session:
        return self.store.things[Session, SESSION]

    def states(self) -> dict[bytes, str]:
        """The states of all refresh tokens, by their digests."""
        return {key: thing.state.value for (kind, key), thing in self.store.things.items() if kind is RefreshToken}

    def claim(self, email: str) -> EmailClaim | None:
        return self.store.things.get((EmailClaim, email))
