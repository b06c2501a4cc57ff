"""What inventory_service does: one decision for each command and each fact that it listens to."""

from collections.abc import Iterable
from uuid import UUID

from chassis.decisions import Cause, Decision, Decisions, Key, State
from chassis.ids import derived_id
from contracts.orders import OrderCancellationRequested, OrderConfirmed, OrderCreated
from contracts.payments import PaymentUnresolved, RefundFailed
from contracts.stock import ProductUpserted
from contracts.types import OrderId, Priority, ReturnId, Sku, order_number
from inventory_service.domain import product as products
from inventory_service.domain import reservation as reservations
from inventory_service.domain import shipping, task
from inventory_service.domain import stock as shelves
from inventory_service.domain.movement import Movement, Step
from inventory_service.domain.product import (
    ArchiveProduct,
    CreateProduct,
    Offer,
    Product,
    RepublishProducts,
    UpdateProduct,
)
from inventory_service.domain.reservation import Outcome, Reservation
from inventory_service.domain.shipping import CompleteTask, ReceiveReturn, RecordDelivery
from inventory_service.domain.stock import AdjustStock, SetWarehouse, Stock, Warehouse
from inventory_service.domain.task import CreateTask, DeleteTask, Task, TaskKind, UpdateTask

decisions = Decisions("inventory_service")


def _reservation_and_skus(item: OrderCreated) -> Iterable[Key]:
    yield Reservation, item.order_id
    for line in item.lines:
        yield Offer, line.sku
        yield Stock, line.sku


@decisions.on(names=_reservation_and_skus)
def reserve_stock(state: State, fact: OrderCreated, cause: Cause) -> Decision:
    skus = [line.sku for line in fact.lines]
    offers = {sku: offer for sku in skus if (offer := state.find(Offer, sku))}
    stocks = {sku: stock for sku in skus if (stock := state.find(Stock, sku))}
    reservation = state.find(Reservation, fact.order_id)
    return _decided(state, reservations.reserve(reservation, fact, offers, stocks, _step(cause, fact.order_id)))


@decisions.on(names=lambda fact: ((Reservation, fact.order_id),))
def commit_stock(state: State, fact: OrderConfirmed, cause: Cause) -> Decision:
    reservation = state.find(Reservation, fact.order_id)
    return _decided(state, reservations.commit(reservation, fact, _step(cause, fact.order_id)))


@decisions.on(names=lambda fact: ((Reservation, fact.order_id),))
def release_stock(state: State, fact: OrderCancellationRequested, cause: Cause) -> Decision:
    reservation = state.find(Reservation, fact.order_id)
    committed = reservation is not None and reservation.status is reservations.Status.COMMITTED
    task_ids = reservation.task_ids if reservation and committed else ()
    tasks = [found for task_id in task_ids if (found := state.find(Task, task_id))]
    return _decided(state, reservations.release(reservation, fact, tasks, _step(cause, fact.order_id)))


def _task_and_order(command: CompleteTask) -> Iterable[Key]:
    yield Task, command.task_id
    if command.order_id:
        yield Reservation, command.order_id


@decisions.on(names=_task_and_order)
def complete_task(state: State, command: CompleteTask, cause: Cause) -> Decision:
    reservation = state.find(Reservation, command.order_id) if command.order_id else None
    holds = reservation.holds if reservation and reservation.status is reservations.Status.COMMITTED else ()
    stocks = {hold.sku: stock for hold in holds if (stock := state.find(Stock, hold.sku))}
    known = state.find(Task, command.task_id)
    outcome = shipping.complete(known, reservation, stocks, command, _step(cause, command.order_id))
    return _decided(state, outcome, reply=outcome.tasks[0])


@decisions.on(names=lambda command: ((Reservation, command.order_id),))
def record_delivery(state: State, command: RecordDelivery, cause: Cause) -> Decision:
    reservation = state.find(Reservation, command.order_id)
    outcome = shipping.deliver(reservation, command, _step(cause, command.order_id))
    return _decided(state, outcome, reply=outcome.reservation)


def _reservation_and_returned(command: ReceiveReturn) -> Iterable[Key]:
    yield Reservation, command.order_id
    for line in command.lines:
        yield Stock, line.sku


@decisions.on(names=_reservation_and_returned)
def receive_return(state: State, command: ReceiveReturn, cause: Cause) -> Decision:
    reservation = state.find(Reservation, command.order_id)
    outcome = shipping.take_back(reservation, command, ReturnId(cause.derive("return")), _step(cause, command.order_id))
    return _decided(state, outcome, reply=outcome.events[0])


def _check_id(fact: PaymentUnresolved | RefundFailed) -> UUID:
    if isinstance(fact, RefundFailed):
        return derived_id(fact.refund_id, "check")
    return derived_id(fact.payment_id, "check", fact.cause)


@decisions.on(names=lambda fact: ((Task, _check_id(fact)),))
def open_check(state: State, fact: PaymentUnresolved | RefundFailed, cause: Cause) -> Decision:
    failed = isinstance(fact, RefundFailed)
    opened = Task(
        id=_check_id(fact),
        kind=TaskKind.CHECK,
        title=f"{'Refund failed' if failed else 'Payment unresolved'}: order {order_number(fact.order_id)}",
        description=fact.code if isinstance(fact, RefundFailed) else fact.cause,
        priority=Priority.HIGH,
        order_id=fact.order_id,
        created_by="system",
        created_at=cause.now,
        updated_at=cause.now,
    )
    checked = task.check(state.find(Task, opened.id), opened, cause.now)
    return Decision(changes=(checked,)) if checked else Decision(ignored="check task open")


@decisions.on(names=lambda _command: ())
def create_task(_state: State, command: CreateTask, cause: Cause) -> Decision:
    created = task.create(cause.derive("task"), command, cause.actor, cause.now)
    return Decision(changes=(created,), reply=created)


@decisions.on(names=lambda command: ((Task, command.task_id),))
def update_task(state: State, command: UpdateTask, cause: Cause) -> Decision:
    known = state.find(Task, command.task_id)
    updated = task.update(known, command, cause.now)
    return Decision(changes=() if updated is known else (updated,), reply=updated)


@decisions.on(names=lambda command: ((Task, command.task_id),))
def delete_task(state: State, command: DeleteTask, cause: Cause) -> Decision:
    return Decision(changes=(task.delete(state.find(Task, command.task_id), cause.now),))


@decisions.on(names=lambda command: ((Product, command.sku),))
def create_product(state: State, command: CreateProduct, cause: Cause) -> Decision:
    return _listed(*products.create(state.find(Product, command.sku), command, cause.now))


@decisions.on(names=lambda command: ((Product, command.sku),))
def update_product(state: State, command: UpdateProduct, cause: Cause) -> Decision:
    return _listed(*products.update(state.find(Product, command.sku), command, cause.now))


@decisions.on(names=lambda command: ((Product, command.sku),))
def archive_product(state: State, command: ArchiveProduct, cause: Cause) -> Decision:
    return _listed(*products.archive(state.find(Product, command.sku), cause.now))


@decisions.on(names=lambda command: ((Product, sku) for sku in command.skus))
def republish_products(state: State, command: RepublishProducts, _cause: Cause) -> Decision:
    events = products.republish(state.find(Product, sku) for sku in command.skus)
    return Decision(events=events, sequence=max((event.version for event in events), default=1), reply=len(events))


@decisions.on(names=lambda command: ((Offer, command.sku), (Warehouse, command.warehouse), (Stock, command.sku)))
def adjust_stock(state: State, command: AdjustStock, cause: Cause) -> Decision:
    known = state.find(Warehouse, command.warehouse)
    warehouse = shelves.open_warehouse(known, command.warehouse)
    offer, stock = state.find(Offer, command.sku), state.find(Stock, command.sku)
    stock, movement, crossings = shelves.adjust(stock, offer, warehouse, command, reference=cause.id, step=_step(cause))
    opened = () if known else (warehouse,)
    return Decision(changes=(*opened, stock, movement), events=crossings, sequence=stock.version, reply=movement)


@decisions.on(names=lambda command: ((Warehouse, command.code),))
def set_warehouse(_state: State, command: SetWarehouse, _cause: Cause) -> Decision:
    return Decision(changes=(Warehouse(code=command.code, priority=command.priority),))


def _step(cause: Cause, order_id: OrderId | None = None) -> Step:
    return Step(derive=cause.derive, actor=cause.actor, at=cause.now, order_id=order_id)


def _listed(product: Product, events: tuple[ProductUpserted, ...]) -> Decision:
    changes = (product, product.offer) if events else ()
    return Decision(changes=changes, events=events, sequence=product.version, reply=product)


def _decided(state: State, outcome: Outcome, reply: object = None) -> Decision:
    """The outcome with what its movements do to the stock, and the thresholds that they cross.

    Whatever the outcome names is saved, but for a reservation that is the very object that was loaded: nothing changed.
    """
    stocks, crossings = shelves.move(_stocks(state, outcome.movements), outcome.movements)
    reservation = outcome.reservation
    kept = () if reservation is None or _stands(state, reservation) else (reservation,)
    return Decision(
        changes=(*kept, *outcome.tasks, *stocks, *outcome.movements),
        events=(*outcome.events, *crossings),
        sequence=reservation.version if reservation else 1,
        reply=reply,
        ignored=outcome.ignored,
    )


def _stands(state: State, reservation: Reservation) -> bool:
    """Whether the step left the reservation as it was. Identity decides: a step that changes it makes a new one."""
    return reservation is state.find(Reservation, reservation.order_id)


def _stocks(state: State, movements: Iterable[Movement]) -> dict[Sku, Stock]:
    return {movement.sku: stock for movement in movements if (stock := state.find(Stock, movement.sku))}
