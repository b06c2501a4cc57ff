"""What the shop keeps of a user (GDPR, articles 15 and 20): asked from the other services as the user would ask."""

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from httpx2 import AsyncClient, HTTPError

from auth_service.own import Own
from chassis.app import Parts
from chassis.ids import new_id
from chassis.scopes import Scope
from chassis.tokens import Caller, Role, issue

_LISTS = {
    "orders": ("order_service", "/api/v1/orders"),
    "payments": ("payment_service", "/api/v1/payments"),
    "notifications": ("notification_service", "/api/v1/notifications"),
}
_PREFERENCES = ("notification_service", "/api/v1/notification-preferences")
_MAY = frozenset({Scope.ORDERS_READ.value, Scope.PAYMENTS_READ.value, Scope.NOTIFICATIONS_READ.value})


class ExportUnavailable(Exception):
    """A service does not answer now, and without it the export is not whole. Try again."""


async def gathered(parts: Parts, user_id: UUID) -> dict[str, Any]:
    """By noun: what the services show the user, whole.

    Raises:
        ExportUnavailable: when one of them does not answer.
    """
    own: Own = parts.own
    # What it may do is to read these lists, as any customer reads their own.
    caller = Caller(user_id, Role.CUSTOMER, new_id(), _MAY)
    token = issue(await own.keys.signer(), caller, issuer=parts.settings.issuer, now=time.time())
    headers = {"Authorization": f"Bearer {token}"}
    try:
        told = {noun: await _all(parts.peers[name], path, headers) for noun, (name, path) in _LISTS.items()}
        service, path = _PREFERENCES
        return told | {"notification_preferences": await _ask(parts.peers[service], path, headers)}
    except (HTTPError, OSError, ValueError, KeyError) as failure:
        raise ExportUnavailable from failure


async def _all(service: AsyncClient, path: str, headers: Mapping[str, str]) -> list[Any]:
    """Every page of a list."""
    page = await _ask(service, path, headers, limit="100")
    told: list[Any] = page["data"]
    while page["has_more"]:
        page = await _ask(service, path, headers, limit="100", cursor=page["next_cursor"])
        told += page["data"]
    return told


async def _ask(service: AsyncClient, path: str, headers: Mapping[str, str], **query: str) -> Any:
    answer = await service.get(path, params=query, headers=headers)
    answer.raise_for_status()
    return answer.json()
