"""What notification_service answers over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from chassis.http import Answer, Caller, Customer, Edge, Listing, Paging, Staff, found, listing
from chassis.ids import NotificationRef, OrderRef
from chassis.problems import problems
from notification_service import store
from notification_service.domain.notification import Notification, ResendNotification, Status
from notification_service.domain.reader import Reader, SetPreferences
from notification_service.schemas import NotificationView, PreferencesBody, PreferencesView

router = APIRouter(tags=["notifications"])


@router.get("/notifications", operation_id="listNotifications", responses=problems("token_missing", "cursor_invalid"))
async def list_notifications(
    caller: Customer,
    edge: Edge,
    page: Paging,
    order_id: Annotated[list[OrderRef], Query(max_length=100)] = [],  # noqa: B006 -- FastAPI copies defaults
    status: Annotated[list[Status], Query(max_length=100)] = [],  # noqa: B006 -- FastAPI copies defaults
) -> Listing[NotificationView]:
    """List the mails written to you, the newest first: staff see everybody's."""
    async with edge.read() as tx:
        rows = await store.list_notifications(tx, page, _owner(caller), order_id, status)
    return listing(page, rows, NotificationView.model_validate, lambda row: (row.created_at, row.id))


@router.get(
    "/notifications/{notification_id}",
    operation_id="getNotification",
    responses=problems("token_missing", "not_found"),
)
async def get_notification(caller: Customer, edge: Edge, notification_id: NotificationRef) -> NotificationView:
    """Show a mail's state: not its text, nor where it went."""
    async with edge.read() as tx:
        notification = await store.find_notification(tx, notification_id, _owner(caller))
    return NotificationView.model_validate(found(notification))


@router.post(
    "/notifications/{notification_id}/resend",
    operation_id="resendNotification",
    status_code=202,
    response_model=NotificationView,
    responses=problems("token_missing", "forbidden", "not_found", "notification_not_resendable"),
)
async def resend_notification(_caller: Staff, edge: Edge, notification_id: NotificationRef) -> Response:
    """Send a mail once more, that was sent or given up. For staff."""
    return await edge.submit(ResendNotification(notification_id=notification_id), _resent)


@router.get("/notification-preferences", operation_id="getPreferences", responses=problems("token_missing"))
async def get_preferences(caller: Customer, edge: Edge) -> PreferencesView:
    """Show which mails you do not want."""
    async with edge.read() as tx:
        return _preferences(await store.find_reader(tx, caller.user_id))


@router.put(
    "/notification-preferences",
    operation_id="setPreferences",
    response_model=PreferencesView,
    responses=problems("token_missing", "validation_failed"),
)
async def set_preferences(caller: Customer, edge: Edge, body: PreferencesBody) -> Response:
    """Choose which mails you do not want: the whole list, in place of the one before."""
    command = SetPreferences(user_id=caller.user_id, opted_out=frozenset(body.opted_out))
    return await edge.submit(command, lambda reader: Answer(_preferences(reader)))


def _owner(caller: Caller) -> UUID | None:
    return None if caller.is_staff else caller.user_id


def _resent(notification: Notification) -> Answer:
    return Answer(NotificationView.model_validate(notification), 202)


def _preferences(reader: Reader | None) -> PreferencesView:
    return PreferencesView(opted_out=sorted(reader.opted_out) if reader else [])
