"""What happens to an order, its stock and its mail, event by event: a transaction a message, with its inbox row."""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from loguru import logger
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.event import Event
from contracts.orders import OrderConfirmed, OrderCreated, PaymentRequested
from contracts.payments import PaymentFailed, PaymentSucceeded
from contracts.stock import StockRejected, StockReserved
from contracts.types import (
    Allocation,
    Money,
    OrderId,
    Priority,
    RejectReason,
    ReservationId,
    Shortage,
    UserId,
    order_number,
)
from tests.performance.usual_way import mail
from tests.performance.usual_way.database import Session
from tests.performance.usual_way.messaging import NACK, Told, broker, exchange, is_new, queue, tell
from tests.performance.usual_way.tables import (
    Notification,
    Order,
    OrderHistory,
    Reservation,
    Stock,
    StockMovement,
    Task,
    now,
)


@broker.subscriber(queue("inventory", OrderCreated), exchange, ack_policy=NACK)
async def reserve_stock(told: Told[OrderCreated]) -> None:
    event = told.data
    async with Session.begin() as session:
        if not await is_new(session, told, "inventory"):
            return
        wanted = Counter[str]()
        for line in event.lines:
            wanted[line.sku] += line.quantity
        locked = select(Stock).where(Stock.sku.in_(wanted)).order_by(Stock.sku).with_for_update()
        stocks = (await session.scalars(locked)).all()
        if missing := shortages(wanted, stocks):
            reason = RejectReason.INSUFFICIENT_STOCK
            tell(session, StockRejected(order_id=event.order_id, reason=reason, missing=missing))
        else:
            tell(session, hold(session, event, wanted, stocks))
    logger.info("order.created: stock decided for order {}", event.order_id)


def shortages(wanted: Counter[str], stocks: Sequence[Stock]) -> tuple[Shortage, ...]:
    available = {stock.sku: stock.on_hand - stock.reserved for stock in stocks}
    return tuple(
        Shortage(sku=sku, requested=quantity, available=available.get(sku, 0))
        for sku, quantity in wanted.items()
        if quantity > available.get(sku, 0)
    )


def hold(session: AsyncSession, event: OrderCreated, wanted: Counter[str], stocks: Sequence[Stock]) -> StockReserved:
    held = tuple(Allocation(sku=stock.sku, quantity=wanted[stock.sku], warehouse="main") for stock in stocks)
    for stock in stocks:
        quantity = wanted[stock.sku]
        stock.reserved += quantity
        session.add(StockMovement(order_id=event.order_id, sku=stock.sku, kind="reserve", reserved_delta=quantity))
    reservation = Reservation(
        id=uuid4(),
        order_id=event.order_id,
        customer_id=event.customer_id,
        status="held",
        holds=[each.model_dump() for each in held],
    )
    session.add(reservation)
    return StockReserved(order_id=event.order_id, reservation_id=ReservationId(reservation.id), allocations=held)


@broker.subscriber(queue("order", StockReserved), exchange, ack_policy=NACK)
async def request_payment(told: Told[StockReserved]) -> None:
    event = told.data
    async with Session.begin() as session:
        if (order := await order_in(session, event.order_id, told, "pending")) is None:
            return
        order.attempt = 1
        advance(session, order, "awaiting_payment", event)
        tell(
            session,
            PaymentRequested(
                order_id=event.order_id,
                customer_id=UserId(order.customer_id),
                attempt=order.attempt,
                amount=Money(amount=order.total, currency=order.currency),
                method=order.method,
            ),
        )
    logger.info("stock.reserved: payment requested for order {}", event.order_id)


@broker.subscriber(queue("order", StockRejected), exchange, ack_policy=NACK)
async def reject_order(told: Told[StockRejected]) -> None:
    event = told.data
    async with Session.begin() as session:
        if order := await order_in(session, event.order_id, told, "pending"):
            order.failure = event.reason
            advance(session, order, "rejected", event)
    logger.info("stock.rejected: order {} rejected", event.order_id)


@broker.subscriber(queue("order", PaymentSucceeded), exchange, ack_policy=NACK)
async def confirm_order(told: Told[PaymentSucceeded]) -> None:
    event = told.data
    async with Session.begin() as session:
        if (order := await order_in(session, event.order_id, told, "awaiting_payment")) is None:
            return
        order.confirmed_at = now()
        advance(session, order, "confirmed", event)
        tell(
            session,
            OrderConfirmed(
                order_id=event.order_id,
                customer_id=UserId(order.customer_id),
                lines=order.lines,
                total=Money(amount=order.total, currency=order.currency),
                priority=Priority.MEDIUM,
            ),
        )
    logger.info("payment.succeeded: order {} confirmed", event.order_id)


@broker.subscriber(queue("order", PaymentFailed), exchange, ack_policy=NACK)
async def decline_order(told: Told[PaymentFailed]) -> None:
    event = told.data
    async with Session.begin() as session:
        if order := await order_in(session, event.order_id, told, "awaiting_payment"):
            order.failure = event.code
            advance(session, order, "payment_failed", event)
    logger.info("payment.failed: order {} declined", event.order_id)


async def order_in(session: AsyncSession, order_id: OrderId, told: Told[Any], status: str) -> Order | None:
    """The order, locked, if the message is new and the order waits for what it tells."""
    if not await is_new(session, told, "order"):
        return None
    order = await session.get_one(Order, order_id, with_for_update=True)
    return order if order.status == status else None


def advance(session: AsyncSession, order: Order, status: str, event: Event) -> None:
    order.version += 1
    session.add(
        OrderHistory(
            order_id=order.id, version=order.version, from_status=order.status, to_status=status, cause=event.topic
        )
    )
    order.status = status


@broker.subscriber(queue("inventory", OrderConfirmed), exchange, ack_policy=NACK)
async def commit_stock(told: Told[OrderConfirmed]) -> None:
    event = told.data
    async with Session.begin() as session:
        if not await is_new(session, told, "inventory"):
            return
        reservation = await session.get_one(Reservation, event.order_id, with_for_update=True)
        reservation.status = "committed"
        lines = ", ".join(f"{each['quantity']} × {each['sku']}" for each in reservation.holds)
        title = f"Ship order {order_number(event.order_id)}"
        session.add(Task(order_id=event.order_id, title=title, description=f"From main: {lines}"))
    logger.info("order.confirmed: order {} is to be shipped", event.order_id)


@broker.subscriber(queue("notification", OrderConfirmed), exchange, ack_policy=NACK)
async def notify_customer(told: Told[OrderConfirmed]) -> None:
    """The notification is committed before the mail leaves, so that a crash between sends it late, not never."""
    event = told.data
    async with Session() as session:
        async with session.begin():
            notification = await queue_notification(session, event, told.id)
        if notification.status == "queued":
            await mail.send(mail.render(notification.template, notification.order_id, notification.data))
        async with session.begin():
            if await is_new(session, told, "notification"):
                notification.status, notification.sent_at = "sent", now()
    logger.info("order.confirmed: mail sent for order {}", event.order_id)


async def queue_notification(session: AsyncSession, event: OrderConfirmed, event_id: UUID) -> Notification:
    """The notification: made now, or found where the message was taken before."""
    if known := await session.get(Notification, event_id):
        return known
    notification = Notification(
        event_id=event_id,
        order_id=event.order_id,
        customer_id=event.customer_id,
        template="order_confirmed",
        data=event.model_dump(mode="json", exclude={"customer_id"}),
        status="queued",
    )
    session.add(notification)
    return notification
