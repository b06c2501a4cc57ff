"""What the shop keeps of a user, for themselves and for an administrator whom they ask."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import StreamingResponse

from auth_service import store
from auth_service.domain.security_event import NoteExport
from auth_service.exporting import gathered, written
from auth_service.own import Own
from auth_service.routes.sessions import session_view
from auth_service.schemas import ApiKeyView, ExportView, OwnView, UserView
from chassis.http import Admin, Answer, Caller, Customer, Edge, Page, found
from chassis.ids import UserRef
from chassis.problems import problems

router = APIRouter(tags=["accounts"])

_TOKEN = ("token_missing", "token_invalid", "token_expired")
_EVERYTHING = Page(10_000, None)


async def _told(caller: Customer, edge: Edge) -> AsyncIterator[None]:
    """Until its end an export is one of a few, and the only one of whoever asks.

    Raises:
        chassis.admission.Crowded: when it would be one too many.
    """
    own: Own = edge.parts.own
    with own.exports.looking_on_as(caller.user_id):
        yield


OneAtATime = Annotated[None, Depends(_told)]


@router.get(
    "/auth/me/export",
    operation_id="exportMe",
    response_model=ExportView,
    responses=problems(*_TOKEN, "not_found", "unavailable"),
)
async def export_me(caller: Customer, edge: Edge, _one: OneAtATime) -> Response:
    return await _export(edge, caller, caller.user_id)


@router.get(
    "/users/{user_id}/export",
    operation_id="exportUser",
    response_model=ExportView,
    responses=problems(*_TOKEN, "forbidden", "not_found", "unavailable"),
)
async def export_user(caller: Admin, edge: Edge, user_id: UserRef, _one: OneAtATime) -> Response:
    return await _export(edge, caller, user_id)


async def _export(edge: Edge, caller: Caller, user_id: UserRef) -> Response:
    async with edge.read() as tx:
        user = found(await store.find_user(tx, user_id))
        sessions = await store.list_open_sessions(tx, _EVERYTHING, user_id)
        keys = await store.list_api_keys(tx, _EVERYTHING, user_id)
    told = await gathered(edge.parts, user_id)
    own = OwnView(
        exported_at=datetime.now(UTC),
        user=UserView.model_validate(user),
        sessions=list(map(session_view(caller), sessions)),
        api_keys=list(map(ApiKeyView.model_validate, keys)),
        notification_preferences=told.preferences,
    )
    await edge.run(NoteExport(user_id=user_id), lambda _reply: Answer(None))
    pieces = written(own.model_dump_json().encode(), told.lists)
    return StreamingResponse(pieces, headers={"Cache-Control": "no-store"}, media_type="application/json")
