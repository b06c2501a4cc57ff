"""What the shop keeps of a user (GDPR, articles 15 and 20): asked from the other services as the user would ask.

It is told page by page, as it is read: of somebody with thousands of orders no process holds more than a page.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from httpx2 import AsyncClient, HTTPError
from pydantic_core import from_json, to_json

from auth_service.own import Own
from chassis.app import Parts
from chassis.ids import new_id
from chassis.scopes import Scope
from chassis.tokens import Caller, Role, issue

PAGE = 20  # what a page of the largest orders costs holds up everybody else for a moment
LASTS = timedelta(minutes=10)  # as long as its token is good, also for a neighbour who has a page after each page
_LISTS = {
    "orders": ("order_service", "/api/v1/orders", Scope.ORDERS_READ),
    "payments": ("payment_service", "/api/v1/payments", Scope.PAYMENTS_READ),
    "notifications": ("notification_service", "/api/v1/notifications", Scope.NOTIFICATIONS_READ),
}
_PREFERENCES = "/api/v1/notification-preferences"  # with what the notifications are asked for

Page = Mapping[str, Any]


class ExportUnavailable(Exception):
    """A service does not answer now, and without it the export is not whole. Try again."""


class Gathered(NamedTuple):
    """The user's preferences, and by noun each list: JSON of some items, as they are wanted."""

    preferences: Mapping[str, Any]
    lists: Mapping[str, AsyncIterator[bytes]]


async def gathered(parts: Parts, user_id: UUID) -> Gathered:
    """What the services show the user; the first page of each list is here, the others are asked for in their turn.

    Raises:
        ExportUnavailable: when one of them does not answer; from a list, when it does so later.
    """
    signer, now = await parts.own.keys.signer(), time.time()
    until = now + LASTS.total_seconds()
    lists, ask = {}, {}
    for noun, (name, path, scope) in _LISTS.items():
        # As any customer reads their own. Whoever is shown this token may ask with it for nothing that others have.
        caller = Caller(user_id, Role.CUSTOMER, new_id(), frozenset({scope.value}))
        token = issue(signer, caller, issuer=parts.settings.issuer, now=now, lifetime=LASTS)
        ask[noun] = partial(_ask, parts.own, {"Authorization": f"Bearer {token}"}, until, parts.peers[name])
        following = partial(ask[noun], path, limit=str(PAGE))
        lists[noun] = _items(await following(), following)
    return Gathered(await ask["notifications"](_PREFERENCES), lists)


async def _items(page: Page, following: Callable[..., Awaitable[Page]]) -> AsyncIterator[bytes]:
    yield to_json(page["data"])[1:-1]
    while page["has_more"]:
        page = await following(cursor=page["next_cursor"])
        yield to_json(page["data"])[1:-1]


async def _ask(
    own: Own, headers: Mapping[str, str], until: float, service: AsyncClient, path: str, **query: str
) -> Page:
    """One page. All exports of a process take turns, so that however many there are, one page is worked on."""
    if time.time() >= until:
        raise ExportUnavailable
    try:
        async with own.export_turn:
            answer = await service.get(path, params=query, headers=headers)
            answer.raise_for_status()
            page: Page = from_json(answer.content)
    except (HTTPError, OSError, ValueError) as failure:
        raise ExportUnavailable from failure
    return page


async def written(view: bytes, lists: Mapping[str, AsyncIterator[bytes]]) -> AsyncIterator[bytes]:
    """A JSON object with these lists behind what it has. One that fails half-way has no end, nor has its answer."""
    yield view[:-1]
    for noun, pages in lists.items():
        yield f',"{noun}":['.encode()
        between = b""
        async for items in pages:
            if items:
                yield between + items
                between = b","
        yield b"]"
    yield b"}"
