"""Every SQL statement of auth_service, by noun."""

from auth_service.store import accounts, sessions, tries
from auth_service.store.accounts import find_user, find_user_by_email, list_users
from auth_service.store.revocations import find_ended
from auth_service.store.sessions import find_session_of, forget_sessions, list_open_sessions
from auth_service.store.signing_keys import take_signing_keys
from auth_service.store.tries import forget_tries
from chassis.store import SqlStore

__all__ = [
    "STORE", "find_ended", "find_session_of", "find_user", "find_user_by_email", "forget_sessions", "forget_tries",
    "list_open_sessions", "list_users", "take_signing_keys",
]  # fmt: skip

# Tries last: a place's row is locked for as short as can be, whoever comes from there.
STORE = SqlStore(*accounts.ROWS, *sessions.ROWS, *tries.ROWS)
