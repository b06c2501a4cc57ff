"""Events told by notification_service."""

from typing import ClassVar

from contracts.event import Event
from contracts.types import Code, NotificationId, OrderId


class NotificationDead(Event):
    """A notification could not be delivered and nobody tries any more."""

    topic: ClassVar[str] = "notification.dead"

    notification_id: NotificationId
    template: Code
    order_id: OrderId | None = None

    @property
    def subject(self) -> str:
        """The order's id, or the notification's own where it is about no order."""
        return str(self.order_id or self.notification_id)
