"""What the other services ask: whom to write to, and which sessions have ended."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter

from auth_service import store
from auth_service.domain.api_key import NOTED_EVERY
from auth_service.schemas import ContactView, EndedView
from auth_service.settings import Settings
from chassis.http import Edge, asked_by, found
from chassis.ids import UserRef

router = APIRouter()

_CLOCKS = timedelta(minutes=1)  # by which the neighbours' may differ from ours
_WRITES = asked_by("notification_service")
_CHECKS_TOKENS = asked_by(
    "auth_service", "inventory_service", "order_service", "payment_service", "notification_service", as_before=True
)


@router.get("/internal/contacts/{user_id}")
async def get_contact(_caller: Annotated[None, _WRITES], edge: Edge, user_id: UserRef) -> ContactView:
    async with edge.read() as tx:
        return ContactView.model_validate(found(await store.find_user(tx, user_id)))


@router.get("/internal/revocations")
async def list_revocations(_caller: Annotated[None, _CHECKS_TOKENS], edge: Edge) -> EndedView:
    settings: Settings = edge.parts.settings
    async with edge.read() as tx:
        # A key is not noted as used at each of its uses.
        keys = settings.key_access_for + NOTED_EVERY
        ended = await store.find_ended(tx, sessions=settings.access_for + _CLOCKS, keys=keys + _CLOCKS)
    return EndedView(ended=ended)
