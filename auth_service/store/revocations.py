"""What has ended lately, so that access tokens of it may still look good."""

from datetime import timedelta
from uuid import UUID

from chassis.database import Transaction

# A token is issued when its session is refreshed, or its key used: where that was long ago none is still good.
_ENDED = """
    SELECT s.id FROM auth_service.sessions s
    WHERE s.ended_at > now() - $1::interval AND s.refreshed_at > now() - $1::interval
    UNION
    SELECT s.id FROM auth_service.users u
    JOIN auth_service.sessions s ON s.user_id = u.id AND s.generation <> u.generation
    WHERE u.sessions_ended_at > now() - $1::interval AND s.refreshed_at > now() - $1::interval
    UNION
    SELECT k.id FROM auth_service.api_keys k
    WHERE k.revoked_at > now() - $2::interval AND k.last_used_at > now() - $2::interval
    UNION
    SELECT k.id FROM auth_service.users u JOIN auth_service.api_keys k ON k.user_id = u.id
    WHERE u.sessions_ended_at > now() - $2::interval AND u.disabled_at IS NOT NULL
        AND k.revoked_at IS NULL AND k.last_used_at > now() - $2::interval
"""


async def find_ended(tx: Transaction, *, sessions: timedelta, keys: timedelta) -> list[UUID]:
    """What ended within these times, as long as a token of a session and one of a key may be good."""
    return [row["id"] for row in await tx.sql(_ENDED, sessions, keys)]
