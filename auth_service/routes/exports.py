"""What the shop keeps of a user, for themselves and for an administrator whom they ask."""

from datetime import UTC, datetime

from fastapi import APIRouter, Response

from auth_service import store
from auth_service.domain.security_event import NoteExport
from auth_service.exporting import gathered
from auth_service.routes.sessions import session_view
from auth_service.schemas import ApiKeyView, ExportView, UserView
from chassis.http import Admin, Answer, Caller, Customer, Edge, Page, found
from chassis.ids import UserRef
from chassis.problems import problems

router = APIRouter(tags=["accounts"])

_TOKEN = ("token_missing", "token_invalid", "token_expired")
_EVERYTHING = Page(10_000, None)


@router.get(
    "/auth/me/export",
    operation_id="exportMe",
    response_model=ExportView,
    responses=problems(*_TOKEN, "not_found", "unavailable"),
)
async def export_me(caller: Customer, edge: Edge) -> Response:
    return await _export(edge, caller, caller.user_id)


@router.get(
    "/users/{user_id}/export",
    operation_id="exportUser",
    response_model=ExportView,
    responses=problems(*_TOKEN, "forbidden", "not_found", "unavailable"),
)
async def export_user(caller: Admin, edge: Edge, user_id: UserRef) -> Response:
    return await _export(edge, caller, user_id)


async def _export(edge: Edge, caller: Caller, user_id: UserRef) -> Response:
    async with edge.read() as tx:
        user = found(await store.find_user(tx, user_id))
        sessions = await store.list_open_sessions(tx, _EVERYTHING, user_id)
        keys = await store.list_api_keys(tx, _EVERYTHING, user_id)
    view = ExportView(
        exported_at=datetime.now(UTC),
        user=UserView.model_validate(user),
        sessions=list(map(session_view(caller), sessions)),
        api_keys=list(map(ApiKeyView.model_validate, keys)),
        **await gathered(edge.parts, user_id),
    )
    return await edge.submit(
        NoteExport(user_id=user_id), lambda _reply: Answer(view, 200, {"Cache-Control": "no-store"})
    )
