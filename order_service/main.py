"""order_service, put together."""

from chassis.app import Hot, Loop, Service
from order_service import deadlines, erasing, handlers, own, replica, routes, schemas, store, tables
from order_service.domain.cancellation import NotForTheShop, OrderNotCancellable
from order_service.domain.life import OrderNotPayable
from order_service.domain.order import OrderNotFound
from order_service.domain.pricing import CurrencyMismatch, PriceChanged, SkuUnknown
from order_service.domain.refunds import RefundExceedsPaid
from order_service.settings import Settings

service = Service(
    name="order_service",
    settings=Settings,
    metadata=tables.metadata,
    decisions=handlers.decisions,
    store=store.STORE,
    router=routes.router,
    refusals={
        OrderNotFound: "not_found",
        NotForTheShop: "forbidden",
        OrderNotCancellable: "order_not_cancellable",
        OrderNotPayable: "order_not_payable",
        RefundExceedsPaid: "refund_exceeds_paid",
        SkuUnknown: "sku_unknown",
        CurrencyMismatch: "currency_mismatch",
        PriceChanged: "price_changed",
        own.TooManyQuotes: "unavailable",
    },
    loops=(
        Loop("deadlines", deadlines.step, every=1.0, woken=False),
        Loop("erasing", erasing.step, every=1.0, woken=False),
        Loop("replica", replica.measure, every=10.0, woken=False),
    ),
    own=own.open_own,
    hot=Hot("/orders", schemas.OrderCreate, routes.create_order),
)
