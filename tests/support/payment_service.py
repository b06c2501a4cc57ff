"""Builders for payment_service, and a desk on which one order's payment is played through its decisions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chassis.decisions import Cause, Decision, State
from chassis.ids import derived_id
from contracts.orders import OrderCancellationRequested, PaymentRequested, RefundRequested
from contracts.types import CancelPhase, CancelReason, Money, OrderId, RefundId, RefundReason, UserId
from payment_service.domain.answer import ProviderAnswered
from payment_service.domain.notice import ApplyNotice, Notice, ReceiveNotice
from payment_service.domain.payment import Answer, Outcome, Payment
from payment_service.domain.resolution import Books, Resolution, ResolvePayment
from payment_service.handlers import decisions

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ORDER = OrderId(UUID("0193f000-0000-7000-8000-000000000001"))
CUSTOMER = UserId(UUID("0193f000-0000-7000-8000-0000000000c1"))
REFUND = RefundId(UUID("0193f000-0000-7000-8000-00000000000f"))
SECOND_REFUND = RefundId(UUID("0193f000-0000-7000-8000-0000000000f2"))
CAUSE = UUID("0193f000-0000-7000-8000-0000000000ca")

DONE = Answer(outcome=Outcome.DONE, reference="ch_1")
DENIED = Answer(outcome=Outcome.DENIED, reference="ch_1", code="insufficient_funds")
SILENT = Answer(outcome=Outcome.UNKNOWN, code="timeout", again_after=timedelta(seconds=0.5))


def euro(amount: int) -> Money:
    return Money(amount=amount, currency="EUR")


def asked(attempt: int = 1, method: str | None = "tok_ok", amount: int = 2598) -> PaymentRequested:
    return PaymentRequested(order_id=ORDER, customer_id=CUSTOMER, attempt=attempt, amount=euro(amount), method=method)


def cancelled(phase: CancelPhase = CancelPhase.PRE) -> OrderCancellationRequested:
    return OrderCancellationRequested(order_id=ORDER, phase=phase, reason=CancelReason.CUSTOMER, cancel_no=1)


def give_back(amount: Money | None = None, refund_id: RefundId = REFUND) -> RefundRequested:
    reason = RefundReason.GOODWILL if amount else RefundReason.CANCELLED
    return RefundRequested(order_id=ORDER, refund_id=refund_id, reason=reason, amount=amount)


class Desk:
    """One order's payment; what it is told is decided by the service's own decisions, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = NOW
        self.things = {}
        self.told = []
        self.booked = []
        self._steps = 0

    def hears(self, item) -> Decision:
        rule = decisions.rules[type(item)]
        self._steps += 1
        cause = Cause(derived_id(CAUSE, self._steps), self.now, "usr_staff", "req_1", "00-1-1-01")
        state = State({key: self.things.get(key) for key in rule.names(item)})
        decision = rule.decide(state, item, cause)
        for thing in decision.changes:
            self.things[type(thing), thing.key] = thing
        self.told = list(decision.events)
        self.booked = [thing for thing in decision.changes if type(thing).__name__ == "Entry"]
        return decision

    @property
    def payment(self) -> Payment | None:
        return self.things.get((Payment, ORDER))

    @property
    def notice(self) -> Notice:
        return self.things[Notice, ("simulated", "evt_1")]

    def charge_answered(self, answer: Answer, attempt: int = 1) -> Decision:
        key = f"pay:{self.payment.id}:{attempt}"
        return self.hears(ProviderAnswered(order_id=ORDER, key=key, answer=answer))

    def of_ours(self, answer: Answer | None, key: str) -> Answer | None:
        """The answer of a provider that holds what we asked for, where it does not say what else."""
        known = self.payment.asked_under(key) if self.payment else None
        return replace(answer, held=known) if answer and not answer.held else answer

    def refund_answered(self, answer: Answer, place: int = -1) -> Decision:
        key = self.payment.refunds[place].call.key
        return self.hears(ProviderAnswered(order_id=ORDER, key=key, answer=answer))

    def resolved(self, outcome: Resolution, books: Answer | None, key: str) -> Decision:
        command = ResolvePayment(
            order_id=ORDER,
            outcome=outcome,
            evidence="the provider's mail",
            key=key,
            books=Books(answer=self.of_ours(books, key)),
        )
        return self.hears(command)

    def noticed(self, answer: Answer, key: str) -> Decision:
        said = self.of_ours(answer, key)
        self.hears(
            ReceiveNotice(
                provider="simulated", event_id="evt_1", type="charge.x", order_id=ORDER, call_key=key, answer=said
            )
        )
        return self.applies_notice()

    def applies_notice(self) -> Decision:
        return self.hears(ApplyNotice(provider="simulated", event_id="evt_1", order_id=ORDER))


def a_desk(*items, **given) -> Desk:
    """A desk that has heard these; ``answer`` answers the first charge."""
    desk = Desk()
    for item in items:
        desk.hears(item)
    if "answer" in given:
        desk.charge_answered(given["answer"])
    return desk


def a_captured_payment() -> Desk:
    return a_desk(asked(), answer=DONE)
