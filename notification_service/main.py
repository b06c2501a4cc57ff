"""notification_service, put together."""

from chassis.app import Loop, Service
from notification_service import erasing, handlers, retention, routes, sending, store, tables
from notification_service.domain.notification import NoSuchNotification, NotResendable
from notification_service.settings import Settings

service = Service(
    name="notification_service",
    settings=Settings,
    metadata=tables.metadata,
    decisions=handlers.decisions,
    store=store.STORE,
    router=routes.router,
    refusals={
        NoSuchNotification: "not_found",
        NotResendable: "notification_not_resendable",
    },
    loops=(
        Loop("sending", sending.step, every=1.0),
        Loop("erasing", erasing.step, every=1.0, woken=False),
        Loop("retention", retention.step, every=3600.0, woken=False),
    ),
    own=sending.open_desk,
    handover=lambda parts: parts.own.handover,
)
