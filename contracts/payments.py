"""Events told by payment_service."""

from typing import ClassVar

from contracts.orders import AboutOrder
from contracts.types import Code, Count, Money, PaymentId, RefundId, ReturnKind, Sentence, UserId


class PaymentSucceeded(AboutOrder):
    """The provider captured the whole amount, and no cancellation is pending."""

    topic: ClassVar[str] = "payment.succeeded"

    payment_id: PaymentId
    attempt: Count
    amount: Money
    provider_reference: Code


class PaymentFailed(AboutOrder):
    """The provider declined for certain. Nothing was taken."""

    topic: ClassVar[str] = "payment.failed"

    customer_id: UserId
    attempt: Count
    code: Code
    retryable: bool
    message: Sentence


class PaymentCancelled(AboutOrder):
    """After a cancellation the customer holds no charge: nothing was taken, or it is returned."""

    topic: ClassVar[str] = "payment.cancelled"

    kind: ReturnKind
    returned: Money | None = None


class RefundSucceeded(AboutOrder):
    """The provider has returned the amount."""

    topic: ClassVar[str] = "refund.succeeded"

    customer_id: UserId
    refund_id: RefundId
    amount: Money


class RefundFailed(AboutOrder):
    """The provider has refused to return the amount, for certain."""

    topic: ClassVar[str] = "refund.failed"

    refund_id: RefundId
    amount: Money
    code: Code


class PaymentUnresolved(AboutOrder):
    """Nobody knows whether money moved, or a reversal was refused: a person has to look."""

    topic: ClassVar[str] = "payment.unresolved"

    payment_id: PaymentId
    cause: Sentence
