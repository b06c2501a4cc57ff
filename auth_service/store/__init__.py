"""Every SQL statement of auth_service, by noun."""

from auth_service.store import accounts, api_keys, erasures, identities, security_events, sessions, tries
from auth_service.store.accounts import find_user, find_user_by_email, list_users
from auth_service.store.api_keys import find_api_key, forget_api_keys, list_api_keys
from auth_service.store.erasures import erase_more, find_being_erased, find_erased
from auth_service.store.revocations import find_ended
from auth_service.store.security_events import list_security_events
from auth_service.store.sessions import find_session_of, forget_sessions, list_open_sessions
from auth_service.store.signing_keys import SigningKeys, rotate_signing_keys, take_signing_keys
from auth_service.store.tries import forget_tries
from chassis.store import SqlStore

__all__ = [
    "STORE", "SigningKeys", "erase_more", "find_api_key", "find_being_erased", "find_ended", "find_erased",
    "find_session_of", "find_user", "find_user_by_email", "forget_api_keys", "forget_sessions", "forget_tries",
    "list_api_keys", "list_open_sessions", "list_security_events", "list_users", "rotate_signing_keys",
    "take_signing_keys",
]  # fmt: skip

# Claims before identities: an account that is opened between the two looks is recognised, not refused for its address.
# Tries last: a place's row is locked for as short as can be, whoever comes from there.
STORE = SqlStore(
    api_keys.KEYS,
    accounts.CLAIMS,
    identities.IDENTITIES,
    accounts.USERS,
    api_keys.RINGS,
    api_keys.ENDED,
    sessions.SIGN_INS,
    *sessions.ROWS,
    *tries.ROWS,
    *erasures.ROWS,
    security_events.ROWS,
)
