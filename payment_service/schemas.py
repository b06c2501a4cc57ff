"""What clients of payment_service send and see. Tokens stand for cards; a card's number is refused everywhere."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from chassis.http import Body, Readable, View
from chassis.ids import OrderRef, PaymentRef, RefundRef, UserRef
from chassis.times import Timestamp
from contracts.cards import CardToken
from contracts.types import Amount, Code, Money, RefundReason
from payment_service.cards import Card
from payment_service.domain.failure import failure
from payment_service.domain.notice import Notice
from payment_service.domain.payment import Attempt, AttemptStatus, Payment, PaymentStatus, RefundStatus
from payment_service.domain.resolution import Resolution, in_question


class PaymentCreate(Body):
    order_id: OrderRef
    token: CardToken


class PaymentResolve(Body):
    outcome: Resolution
    evidence: Annotated[str, Field(min_length=1, max_length=2000)]


class FailureView(View):
    code: str
    message: str
    retryable: bool


class AttemptView(View):
    attempt: int
    status: AttemptStatus
    tries: int
    provider_reference: str | None
    failure: FailureView | None
    settled_at: Timestamp | None


class ContradictionView(View):
    provider: str
    event_id: str
    type: str
    received_at: Timestamp


class PaymentView(View):
    id: PaymentRef
    order_id: OrderRef
    customer_id: UserRef | None
    status: PaymentStatus
    amount: Money | None
    captured_total: Money | None
    refunded_total: Money | None
    cancel_requested: bool
    unresolved: bool
    attempt: int
    attempts: list[AttemptView]
    failure: FailureView | None
    provider_reference: str | None
    contradictions: list[ContradictionView]
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class RefundView(View):
    id: RefundRef
    payment_id: PaymentRef
    order_id: OrderRef
    amount: Money
    reason: RefundReason
    status: RefundStatus
    failure_code: str | None
    provider_reference: str | None
    requested_at: Timestamp
    settled_at: Timestamp | None


class TestTokenView(View):
    token: str
    description: str
    outcome: Literal["captured", "declined"]
    code: str | None


class TestTokens(View):
    data: list[TestTokenView]


class WebhookData(Readable):
    """What our simulated provider tells; more fields are no mistake."""

    key: Annotated[str, Field(max_length=200)]
    order_id: UUID
    reference: Code | None = None
    code: Code | None = None
    amount: Amount | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None


class Webhook(Readable):
    type: Annotated[str, Field(max_length=100)]
    data: WebhookData


class WebhookReceived(View):
    received: bool = True


def _failure(attempt: Attempt) -> FailureView | None:
    if attempt.status is not AttemptStatus.FAILED:
        return None
    why = failure(attempt.call.code)
    return FailureView(code=attempt.call.code or "card_declined", message=why.message, retryable=why.retryable)


def _attempt(attempt: Attempt) -> AttemptView:
    return AttemptView(
        attempt=attempt.number,
        status=attempt.status,
        tries=attempt.call.tries,
        provider_reference=attempt.call.reference,
        failure=_failure(attempt),
        settled_at=attempt.call.settled_at,
    )


def payment_view(payment: Payment, contradicting: list[Notice] | None = None) -> PaymentView:
    attempts = [_attempt(attempt) for attempt in payment.attempts]
    asked = in_question(payment)
    return PaymentView(
        id=payment.id,
        order_id=payment.order_id,
        customer_id=payment.customer_id,
        status=payment.status,
        amount=payment.amount,
        captured_total=payment.amount and payment.money(payment.captured),
        refunded_total=payment.amount and payment.money(payment.refunded),
        cancel_requested=payment.cancel_flagged,
        unresolved=asked is not None and (asked.call.unresolved_at is not None or asked.call.settled_at is not None),
        attempt=payment.attempt,
        attempts=attempts,
        failure=attempts[-1].failure if attempts else None,
        provider_reference=attempts[-1].provider_reference if attempts else None,
        contradictions=[ContradictionView.model_validate(notice) for notice in contradicting or ()],
        version=payment.version,
        created_at=payment.created_at,
        updated_at=payment.updated_at,
    )


def refund_view(row: Any) -> RefundView:
    return RefundView(
        id=row["refund_id"],
        payment_id=row["payment_id"],
        order_id=row["order_id"],
        amount=Money(amount=row["amount"], currency=row["currency"]),
        reason=row["reason"],
        status=row["status"],
        failure_code=row["code"],
        provider_reference=row["reference"],
        requested_at=row["requested_at"],
        settled_at=row["settled_at"],
    )


def token_view(token: str, it: Card) -> TestTokenView:
    outcome: Literal["captured", "declined"] = "declined" if it.code else "captured"
    return TestTokenView(token=token, description=it.description, outcome=outcome, code=it.code)
