"""What the shop keeps of a user, for themselves and for an administrator whom they ask."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import StreamingResponse
from pydantic_core import to_json

from auth_service import store
from auth_service.domain.security_event import NoteExport
from auth_service.exporting import gathered, written
from auth_service.own import Own
from auth_service.routes.sessions import session_view
from auth_service.schemas import ApiKeyView, ExportView, OwnView, UserView
from auth_service.throttling import site
from chassis.http import Admin, Answer, Caller, Customer, Edge, Page, found
from chassis.ids import UserRef
from chassis.problems import problems

router = APIRouter(tags=["accounts"])

_TOKEN = ("token_missing", "token_invalid", "token_expired")
_EVERY_KEY = Page(10_000, None)
_SESSIONS_AT_ONCE = 500


async def _told(caller: Customer, edge: Edge) -> AsyncIterator[None]:
    """Until its end an export is one of a few, the only one of whoever asks, and one of half of them from a place.

    Raises:
        chassis.admission.Crowded: when it would be one too many.
    """
    own: Own = edge.parts.own
    with own.exports.looking_on_as(caller.user_id, site(edge)):
        yield


OneAtATime = Annotated[None, Depends(_told)]


@router.get(
    "/auth/me/export",
    operation_id="exportMe",
    response_model=ExportView,
    responses=problems(*_TOKEN, "not_found", "unavailable"),
)
async def export_me(caller: Customer, edge: Edge, _one: OneAtATime) -> Response:
    """Export all that the shop keeps of you, as one JSON document: one export of yours at a time (503)."""
    return await _export(edge, caller, caller.user_id)


@router.get(
    "/users/{user_id}/export",
    operation_id="exportUser",
    response_model=ExportView,
    responses=problems(*_TOKEN, "forbidden", "not_found", "unavailable"),
)
async def export_user(caller: Admin, edge: Edge, user_id: UserRef, _one: OneAtATime) -> Response:
    """Export all that the shop keeps of a user. For administrators, whom the user asked; it is noted."""
    return await _export(edge, caller, user_id)


async def _sessions(edge: Edge, caller: Caller, user_id: UserRef) -> AsyncIterator[bytes]:
    """Those that are open, as JSON, a page after the other."""
    view, page, more = session_view(caller), Page(_SESSIONS_AT_ONCE, None), True
    while more:
        async with edge.read() as tx:
            found_now = await store.list_open_sessions(tx, page, user_id)
        more, shown = len(found_now) > page.limit, found_now[: page.limit]
        yield to_json(list(map(view, shown)))[1:-1]
        page = Page(page.limit, [shown[-1].created_at, shown[-1].id] if shown else None)


async def _export(edge: Edge, caller: Caller, user_id: UserRef) -> Response:
    async with edge.read() as tx:
        user = found(await store.find_user(tx, user_id))
        keys = await store.list_api_keys(tx, _EVERY_KEY, user_id)
    told = await gathered(edge.parts, user_id)
    own = OwnView(
        exported_at=datetime.now(UTC),
        user=UserView.model_validate(user),
        api_keys=list(map(ApiKeyView.model_validate, keys)),
        notification_preferences=told.preferences,
    )
    await edge.run(NoteExport(user_id=user_id), lambda _reply: Answer(None))
    lists = {"sessions": _sessions(edge, caller, user_id), **told.lists}
    pieces = written(own.model_dump_json().encode(), lists)
    return StreamingResponse(pieces, headers={"Cache-Control": "no-store"}, media_type="application/json")
