"""Charging: the one handler that asks the outside world, and the simulated provider, which keeps its own books."""

from hashlib import sha256
from uuid import UUID, uuid4

from loguru import logger
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.orders import PaymentRequested
from contracts.payments import PaymentFailed, PaymentSucceeded
from contracts.types import PaymentId
from tests.performance.usual_way.database import Session
from tests.performance.usual_way.messaging import NACK, Told, broker, exchange, is_new, queue, tell
from tests.performance.usual_way.tables import LedgerEntry, Payment, PaymentAttempt, ProviderCharge

PAYS = "tok_ok"


@broker.subscriber(queue("payment", PaymentRequested), exchange, ack_policy=NACK)
async def charge(told: Told[PaymentRequested]) -> None:
    """The attempt is committed before the provider is called, and the call repeats its key: nobody is charged twice."""
    event = told.data
    key, amount = f"{event.order_id}:{event.attempt}", event.amount
    async with Session() as session:
        async with session.begin():
            payment, attempt = await begin_payment(session, event, key)
        charged = await ask_provider(key, event.order_id, event.method or "", amount.amount, amount.currency)
        async with session.begin():
            if await is_new(session, told, "payment"):
                settle_payment(session, event, payment, attempt, charged)
    logger.info("order.payment_requested: charge {} for order {}", charged.status, event.order_id)


async def begin_payment(session: AsyncSession, event: PaymentRequested, key: str) -> tuple[Payment, PaymentAttempt]:
    """The payment and its attempt: made now, or found where the message was taken before."""
    if known := await session.get(Payment, event.order_id):
        return known, await session.get_one(PaymentAttempt, key)
    payment = Payment(
        id=uuid4(),
        order_id=event.order_id,
        customer_id=event.customer_id,
        status="processing",
        amount=event.amount.amount,
        currency=event.amount.currency,
    )
    attempt = PaymentAttempt(
        key=key,
        order_id=event.order_id,
        attempt=event.attempt,
        method=event.method or "",
        status="processing",
    )
    session.add_all([payment, attempt])
    return payment, attempt


def settle_payment(
    session: AsyncSession, event: PaymentRequested, payment: Payment, attempt: PaymentAttempt, charged: ProviderCharge
) -> None:
    attempt.status, attempt.reference = charged.status, charged.reference
    if charged.status == "declined":
        payment.status = "failed"
        tell(
            session,
            PaymentFailed(
                order_id=event.order_id,
                customer_id=event.customer_id,
                attempt=event.attempt,
                code="card_declined",
                retryable=True,
                message="The card was declined.",
            ),
        )
        return
    payment.status, payment.captured = "succeeded", payment.amount
    session.add(
        LedgerEntry(
            key=charged.key,
            order_id=event.order_id,
            kind="capture",
            amount=charged.amount,
            currency=charged.currency,
            reference=charged.reference,
        )
    )
    tell(
        session,
        PaymentSucceeded(
            order_id=event.order_id,
            payment_id=PaymentId(payment.id),
            attempt=event.attempt,
            amount=event.amount,
            provider_reference=charged.reference,
        ),
    )


async def ask_provider(key: str, order_id: UUID, token: str, amount: int, currency: str) -> ProviderCharge:
    """What the books hold under the key; it is charged now if they held nothing."""
    fresh = {
        "key": key,
        "order_id": order_id,
        "token": token,
        "amount": amount,
        "currency": currency,
        "status": "captured" if token == PAYS else "declined",
        "reference": f"ch_{sha256(key.encode()).hexdigest()[:24]}",
    }
    async with Session.begin() as session:
        added = insert(ProviderCharge).values(**fresh).on_conflict_do_nothing().returning(ProviderCharge)
        charged = await session.scalar(added)
        return await session.get_one(ProviderCharge, key) if charged is None else charged
