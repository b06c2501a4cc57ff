"""payment_service, put together."""

from chassis.app import Loop, Service
from payment_service import charging, routes, webhooks
from payment_service.domain.attempt import OrderNotPayable, PaymentNotFound
from payment_service.domain.notice import SignatureInvalid
from payment_service.domain.resolution import BooksContradict, BooksSilent, BooksUnread, PaymentNotResolvable
from payment_service.handlers import decisions
from payment_service.settings import Settings
from payment_service.store import STORE
from payment_service.tables import metadata

service = Service(
    name="payment_service",
    settings=Settings,
    metadata=metadata,
    decisions=decisions,
    store=STORE,
    router=routes.router,
    refusals={
        PaymentNotFound: "not_found",
        OrderNotPayable: "order_not_payable",
        PaymentNotResolvable: "payment_not_resolvable",
        BooksContradict: "payment_not_resolvable",
        BooksSilent: "payment_not_resolvable",
        BooksUnread: "upstream_error",
        SignatureInvalid: "signature_invalid",
    },
    loops=(
        Loop("charging", charging.step, every=0.25),
        Loop("webhooks", webhooks.apply_step, every=1.0, woken=False),
        Loop("telling", webhooks.tell_step, every=1.0, woken=False),
    ),
    own=charging.opened,
    handover=lambda parts: parts.own.handover,
)
