"""What order_service does: one decision for each command and each fact that it listens to."""

from collections.abc import Iterable
from functools import cache
from re import sub

from chassis.decisions import Cause, Decision, Decisions, Key, State
from contracts.accounts import UserErased
from contracts.event import Event
from contracts.stock import ProductUpserted
from contracts.types import RefundId
from order_service.domain import cancellation, erasing, life, pricing, refunds
from order_service.domain.cancellation import CancelOrder, Expire
from order_service.domain.erasing import EraseOrders, Erasure
from order_service.domain.history import HistoryEntry, entry
from order_service.domain.life import Fact, PayOrder, PlaceOrder
from order_service.domain.order import Order, OrderNotFound, Outcome
from order_service.domain.pricing import Product
from order_service.domain.refunds import RefundOrder
from order_service.store import Answers

decisions = Decisions("order_service")

Command = PlaceOrder | CancelOrder | PayOrder | RefundOrder | Expire | EraseOrders


def _the_order(item: Fact | CancelOrder | PayOrder | RefundOrder | Expire) -> Iterable[Key]:
    yield Order, item.order_id


def _the_products(command: PlaceOrder) -> Iterable[Key]:
    for line in command.lines:
        yield Product, line.sku


@decisions.on(names=_the_products)
def place_order(state: State, command: PlaceOrder, cause: Cause) -> Decision:
    known = {line.sku: state.find(Product, line.sku) for line in command.lines}
    priced = pricing.price(command.lines, known)
    pricing.check_expected(priced, command.expected_total)
    return _decided(None, life.place(command, priced, cause.now, _trace_id(cause)), command, cause)


@decisions.on(names=_the_order)
def advance(state: State, fact: Fact, cause: Cause) -> Decision:
    order = state.find(Order, fact.order_id)
    if order is None:
        return Decision(ignored="unknown order")
    refund_id = RefundId(cause.derive("refund"))
    return _decided(order, life.advance(order, fact, refund_id, cause.now), fact, cause)


@decisions.on(names=_the_order)
def cancel_order(state: State, command: CancelOrder, cause: Cause) -> Decision:
    order = _owned(state, command)
    return _decided(order, cancellation.cancel(order, command.reason, cause.now), command, cause)


@decisions.on(names=_the_order)
def pay_order(state: State, command: PayOrder, cause: Cause) -> Decision:
    order = _owned(state, command)
    return _decided(order, life.pay(order, command.method, cause.now), command, cause)


@decisions.on(names=_the_order)
def refund_order(state: State, command: RefundOrder, cause: Cause) -> Decision:
    order = state.find(Order, command.order_id)
    if order is None:
        raise OrderNotFound
    refund_id = RefundId(cause.derive("refund"))
    return _decided(order, refunds.refund(order, command, refund_id, cause.now), command, cause)


@decisions.on(names=_the_order)
def expire_order(state: State, command: Expire, cause: Cause) -> Decision:
    order = state.find(Order, command.order_id)
    if order is None:
        return Decision(ignored="unknown order")
    return _decided(order, cancellation.expire(order, cause.now), command, cause)


@decisions.on(names=lambda fact: ((Product, fact.sku),))
def keep_product(state: State, fact: ProductUpserted, _cause: Cause) -> Decision:
    product = pricing.keep(state.find(Product, fact.sku), fact)
    return Decision(changes=(product,)) if product else Decision(ignored="not newer")


@decisions.on(names=lambda fact: ((Erasure, fact.user_id),))
def erase_customer(_state: State, fact: UserErased, _cause: Cause) -> Decision:
    return Decision(changes=(Erasure(customer_id=fact.user_id),))


@decisions.on(
    names=lambda command: ((Erasure, command.customer_id), *((Order, order_id) for order_id in command.order_ids))
)
def erase_orders(state: State, command: EraseOrders, cause: Cause) -> Decision:
    erasure = state.find(Erasure, command.customer_id)
    if erasure is None or erasure.reached != command.after:  # another process was faster, or it begins anew
        return Decision(ignored="not there any more")
    orders = [order for order_id in command.order_ids if (order := state.find(Order, order_id))]
    erased = [(order, life.erase(order, cause.now)[0]) for order in orders]
    changes = [(after, _entry(before, after, command, cause)) for before, after in erased if after is not before]
    answers = Answers(command.customer_id, command.order_ids)
    return Decision(changes=(erasing.go_on(erasure, command), answers, *(thing for pair in changes for thing in pair)))


def _owned(state: State, command: CancelOrder | PayOrder) -> Order:
    order = state.find(Order, command.order_id)
    if order is None or command.owner not in {None, order.customer_id}:
        raise OrderNotFound
    return order


def _decided(before: Order | None, outcome: Outcome, item: Command | Fact, cause: Cause) -> Decision:
    after, events = outcome
    if after is before:
        return Decision(reply=after, ignored=f"while {after.status}")
    changes = (after, _entry(before, after, item, cause))
    return Decision(changes=changes, events=events, sequence=after.version, reply=after)


def _entry(before: Order | None, after: Order, item: Command | Fact, cause: Cause) -> HistoryEntry:
    name = item.topic if isinstance(item, Event) else _name(type(item).__name__)
    return entry(before, after, cause.actor, name, cause.id)


@cache
def _name(command: str) -> str:
    return sub(r"(?<!^)(?=[A-Z])", "_", command).lower()


def _trace_id(cause: Cause) -> str | None:
    return cause.traceparent.split("-")[1] if cause.traceparent else None
