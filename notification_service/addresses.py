"""Where a user's mail goes: asked from auth_service when a mail is sent, and remembered for a minute in memory only."""

from asyncio import Semaphore, get_running_loop
from typing import NamedTuple
from uuid import UUID

from httpx2 import AsyncClient, HTTPError
from pydantic import BaseModel, ConfigDict, Field

from chassis.ids import typeid
from notification_service.channels import Undeliverable, Undelivered

REMEMBERED_FOR = 60.0
_MOST = 10_000
_AT_ONCE = 16
_OK, _NOT_FOUND = 200, 404


class Contact(NamedTuple):
    """Whom a mail goes to. It is never logged."""

    address: str
    name: str | None = None


class _Told(BaseModel):
    """As long as an account's may be, since ten thousand are remembered."""

    model_config = ConfigDict(hide_input_in_errors=True)

    email: str = Field(max_length=320)
    full_name: str | None = Field(default=None, max_length=200)


class Addresses:
    """The contacts of users, from auth_service."""

    def __init__(self, auth_service: AsyncClient) -> None:
        self._auth_service = auth_service
        self._known: dict[UUID, tuple[float, Contact]] = {}
        self._free = Semaphore(_AT_ONCE)

    async def find(self, user_id: UUID) -> Contact:
        """The user's contact.

        Raises:
            Undeliverable: when there is no such user.
            Undelivered: when auth_service does not answer properly.
        """
        asked_at, contact = self._known.get(user_id, (float("-inf"), None))
        now = get_running_loop().time()
        if contact is not None and now - asked_at < REMEMBERED_FOR:
            return contact
        async with self._free:
            contact = await self._ask(user_id)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[user_id] = now, contact
        return contact

    async def _ask(self, user_id: UUID) -> Contact:
        try:
            answer = await self._auth_service.get(f"/internal/contacts/{typeid('usr', user_id)}")
        except (HTTPError, OSError):
            reason = "auth_service_unreachable"
            raise Undelivered(reason) from None
        if answer.status_code == _NOT_FOUND:
            reason = "user_unknown"
            raise Undeliverable(reason)
        if answer.status_code != _OK:
            reason = f"auth_service_{answer.status_code}"
            raise Undelivered(reason)
        told = _Told.model_validate_json(answer.content)
        return Contact(told.email, told.full_name)
