"""What payment_service decides: thin adapters from loaded payments to the domain and back."""

from chassis.decisions import Aggregate, Cause, Decision, Decisions, State
from contracts.event import Event
from contracts.orders import OrderCancellationRequested, PaymentRequested, RefundRequested
from payment_service.domain import answer, attempt, notice, refund, resolution
from payment_service.domain.answer import ProviderAnswered
from payment_service.domain.attempt import CreatePayment
from payment_service.domain.due import born_claimed
from payment_service.domain.ledger import entries
from payment_service.domain.notice import ApplyNotice, Notice, ReceiveNotice
from payment_service.domain.payment import Payment, Step
from payment_service.domain.resolution import Resolved, ResolvePayment

decisions = Decisions("payment_service")


def _step(cause: Cause) -> Step:
    return Step(
        now=cause.now,
        derive=cause.derive,
        correlation_id=cause.correlation_id,
        traceparent=cause.traceparent,
        lease=cause.lease,
    )


def _decision(
    before: Payment | None, after: Payment | None, events: tuple[Event, ...], cause: Cause, *beside: Aggregate
) -> Decision:
    if after is None or after is before:
        version = after.version if after else 1
        return Decision(changes=beside, events=events, sequence=version, ignored=None if events else "nothing_to_do")
    changes: tuple[Aggregate, ...] = (after, *entries(before, after, cause.now), *beside)
    due = born_claimed(before, after)
    return Decision(changes=changes, events=events, sequence=after.version, reply=after, hands_over=due)


@decisions.on(names=lambda fact: ((Payment, fact.order_id),))
def request_payment(state: State, fact: PaymentRequested, cause: Cause) -> Decision:
    payment = state.find(Payment, fact.order_id)
    return _decision(payment, attempt.request(payment, fact, _step(cause)), (), cause)


@decisions.on(names=lambda fact: ((Payment, fact.order_id),))
def cancel_payment(state: State, fact: OrderCancellationRequested, cause: Cause) -> Decision:
    payment = state.find(Payment, fact.order_id)
    return _decision(payment, *refund.cancel(payment, fact, _step(cause)), cause)


@decisions.on(names=lambda fact: ((Payment, fact.order_id),))
def give_back(state: State, fact: RefundRequested, cause: Cause) -> Decision:
    payment = state.find(Payment, fact.order_id)
    return _decision(payment, *refund.refund(payment, fact, _step(cause)), cause)


@decisions.on(names=lambda command: ((Payment, command.order_id),))
def create_payment(state: State, command: CreatePayment, cause: Cause) -> Decision:
    payment = state.find(Payment, command.order_id)
    return _decision(payment, attempt.pay(payment, command, _step(cause)), (), cause)


@decisions.on(names=lambda command: ((Payment, command.order_id),))
def record_answer(state: State, command: ProviderAnswered, cause: Cause) -> Decision:
    payment = state.find(Payment, command.order_id)
    if payment is None:
        return Decision(ignored="payment_unknown")
    return _decision(payment, *answer.learn(payment, command.key, command.answer, _step(cause)), cause)


@decisions.on(names=lambda command: ((Payment, command.order_id),))
def resolve_payment(state: State, command: ResolvePayment, cause: Cause) -> Decision:
    payment = state.find(Payment, command.order_id)
    settled, events = resolution.resolve(payment, command, _step(cause))
    books = command.books.answer.outcome.value if command.books.answer else "silent"
    audited = Resolved(
        id=cause.id,
        payment_id=settled.id,
        call_key=command.key,
        actor=cause.actor,
        outcome=command.outcome,
        evidence=command.evidence,
        books=books,
        resolved_at=cause.now,
    )
    return _decision(payment, settled, events, cause, audited)


@decisions.on(names=lambda command: ((Notice, (command.provider, command.event_id)),))
def receive_notice(state: State, command: ReceiveNotice, cause: Cause) -> Decision:
    if state.find(Notice, (command.provider, command.event_id)):
        return Decision(ignored="told_before")
    return Decision(changes=(notice.receive(command, cause.now),))


@decisions.on(names=lambda it: ((Payment, it.order_id), (Notice, (it.provider, it.event_id))))
def apply_notice(state: State, command: ApplyNotice, cause: Cause) -> Decision:
    told = state.find(Notice, (command.provider, command.event_id))
    payment = state.find(Payment, command.order_id)
    if told is None or not told.is_open:
        return Decision(ignored="settled_before")
    settled = notice.settle(told, payment, cause.now)
    if payment is None:
        return Decision(changes=(settled,), reply=settled)
    after, events = notice.heard(settled, payment, _step(cause))
    return _decision(payment, after, events, cause, settled)._replace(reply=settled)
