"""What clients of notification_service send and see."""

from pydantic import Field

from chassis.http import Body, View
from chassis.ids import NotificationRef, OrderRef
from chassis.times import Timestamp
from notification_service.domain.mails import Template
from notification_service.domain.notification import Channel, Status


class NotificationView(View):
    """A notification. Where it was sent to is nobody's to read here."""

    id: NotificationRef
    template: Template
    channel: Channel
    order_id: OrderRef | None
    status: Status
    attempts: int
    reason: str | None
    created_at: Timestamp
    sent_at: Timestamp | None
    version: int


class PreferencesView(View):
    opted_out: list[Template]


class PreferencesBody(Body):
    opted_out: list[Template] = Field(max_length=len(Template), description="The mails that are not wanted.")
