"""The decisions of inventory_service on a memory store: what is loaded, changed and told."""

from dataclasses import replace
from uuid import UUID

import pytest

from contracts.payments import PaymentUnresolved, RefundFailed
from contracts.stock import ReturnReceived, ShipmentDelivered, ShipmentDispatched, StockLow, StockReplenished
from contracts.types import CancelPhase, Money, OrderId, Priority, ReturnedLine, UnitPrice
from inventory_service.domain.movement import Movement, Reason
from inventory_service.domain.product import (
    ArchiveProduct,
    CreateProduct,
    Offer,
    Product,
    RepublishProducts,
    UpdateProduct,
)
from inventory_service.domain.reservation import Reservation, Status
from inventory_service.domain.shipping import CompleteTask, ReceiveReturn, RecordDelivery
from inventory_service.domain.stock import AdjustStock, SetWarehouse, Stock, Warehouse
from inventory_service.domain.task import CreateTask, DeleteTask, Task, TaskKind, TaskStatus, UpdateTask
from inventory_service.handlers import decisions
from tests.support.inventory_service import (
    ORDER,
    Shop,
    a_cancellation,
    a_product,
    a_stock,
    an_order_confirmed,
    an_order_created,
)

EUR = Money(amount=100, currency="EUR")
OTHER = OrderId(UUID("0193f000-0000-7000-8000-000000000002"))


def a_shop(**level) -> Shop:
    return Shop(Offer(sku="MUG-RED"), a_stock(**{"on_hand": 5, **level}))


async def shipped(shop: Shop) -> Task:
    await shop.decide(an_order_created())
    await shop.decide(an_order_confirmed())
    (task,) = shop.all(Task)
    await shop.decide(CompleteTask(task_id=task.id, order_id=ORDER, carrier="DHL"))
    return task


def test_the_queue_is_bound_to_what_the_decisions_name():
    assert decisions.topics == (
        "order.cancellation_requested",
        "order.confirmed",
        "order.created",
        "payment.unresolved",
        "refund.failed",
    )


async def test_an_order_moves_through_the_warehouse():
    shop = a_shop()

    await shipped(shop)

    assert shop.find(Reservation, ORDER).status is Status.CONSUMED
    assert shop.levels() == {("MUG-RED", "main"): (3, 0)}
    assert [type(event).topic for event in shop.told] == ["stock.reserved", "shipment.dispatched"]


async def test_stock_is_the_sum_of_its_movements_after_everything_that_can_happen():
    shop = Shop(Offer(sku="MUG-RED"))
    await shop.decide(AdjustStock(sku="MUG-RED", delta=9, reason=Reason.RECEIVED))
    await shipped(shop)
    await shop.decide(an_order_created(("MUG-RED", 3), order_id=OTHER))
    await shop.decide(a_cancellation(order_id=OTHER))
    line = ReturnedLine(sku="MUG-RED", quantity=1, restocked=1)
    await shop.decide(ReceiveReturn(order_id=ORDER, lines=(line,)))

    movements = shop.all(Movement)

    sums = sum(m.delta for m in movements), sum(m.reserved_delta for m in movements)
    assert shop.levels() == {("MUG-RED", "main"): sums} == {("MUG-RED", "main"): (8, 0)}
    assert len({movement.id for movement in movements}) == len(movements) == 6
    assert [type(event) for event in shop.told[-2:]] == [ReturnReceived, StockReplenished]


async def test_a_repeated_order_is_ignored_and_saves_nothing():
    shop = a_shop()
    await shop.decide(an_order_created())

    decision = await shop.decide(an_order_created())

    assert (decision.changes, decision.events, decision.ignored) == ((), (), "reservation held")
    assert shop.levels() == {("MUG-RED", "main"): (5, 2)}


async def test_an_order_for_nothing_that_exists_is_rejected():
    shop = Shop()

    decision = await shop.decide(an_order_created())

    assert [type(event).topic for event in decision.events] == ["stock.rejected"]
    assert shop.find(Reservation, ORDER).status is Status.REJECTED


async def test_cancelling_before_shipping_gives_back_and_closes_the_task():
    shop = a_shop()
    await shop.decide(an_order_created())
    await shop.decide(an_order_confirmed())

    await shop.decide(a_cancellation(phase=CancelPhase.POST))

    assert shop.levels() == {("MUG-RED", "main"): (5, 0)}
    assert [task.status for task in shop.all(Task)] == [TaskStatus.CANCELLED]
    assert [type(event).topic for event in shop.told] == ["stock.reserved", "stock.released"]


async def test_cancelling_after_shipping_is_refused_and_changes_nothing():
    shop = a_shop()
    await shipped(shop)

    decision = await shop.decide(a_cancellation(phase=CancelPhase.POST))

    assert decision.changes == ()
    assert [type(event).topic for event in decision.events] == ["stock.cancellation_refused"]
    assert decision.sequence == 3


async def test_a_cancellation_that_overtakes_its_order_wins():
    shop = a_shop()

    await shop.decide(a_cancellation())
    late = await shop.decide(an_order_created())

    assert late.ignored == "reservation void"
    assert shop.levels() == {("MUG-RED", "main"): (5, 0)}


async def test_crossing_the_threshold_is_told_beside_the_reservation():
    shop = a_shop(low_threshold=3)

    await shop.decide(an_order_created())
    await shop.decide(a_cancellation())

    assert [event for event in shop.told if isinstance(event, StockLow | StockReplenished)] == [
        StockLow(sku="MUG-RED", warehouse="main", available=3, threshold=3)
    ]


async def test_a_delivery_is_recorded_on_its_shipment():
    shop = a_shop()
    await shipped(shop)
    (dispatched,) = (event for event in shop.told if isinstance(event, ShipmentDispatched))

    decision = await shop.decide(RecordDelivery(order_id=ORDER, shipment_id=dispatched.shipment_id))

    assert [type(event) for event in decision.events] == [ShipmentDelivered]
    assert decision.reply.shipments[0].delivered_at is not None


async def test_a_manual_task_lives_and_dies_without_an_order():
    shop = Shop()
    created = (await shop.decide(CreateTask(title="Sweep"), actor="usr_1")).reply
    update = UpdateTask(task_id=created.id, version=1, changes={"priority": Priority.LOW})

    changed = (await shop.decide(update)).reply
    same = await shop.decide(replace(update, version=2))
    done = (await shop.decide(CompleteTask(task_id=created.id, order_id=None))).reply
    await shop.decide(DeleteTask(task_id=created.id))

    assert (created.created_by, changed.priority, same.changes) == ("usr_1", Priority.LOW, ())
    assert done.status is TaskStatus.COMPLETED
    assert shop.find(Task, created.id).deleted_at is not None
    assert shop.told == []


@pytest.mark.parametrize(
    ("fact", "title", "description"),
    [
        (
            PaymentUnresolved(order_id=ORDER, payment_id=OTHER, cause="unknown for 15 minutes"),
            "Payment unresolved: order 00000-00001",
            "unknown for 15 minutes",
        ),
        (
            RefundFailed(order_id=ORDER, refund_id=OTHER, amount=EUR, code="card_closed"),
            "Refund failed: order 00000-00001",
            "card_closed",
        ),
    ],
)
async def test_trouble_with_money_opens_one_urgent_check(fact, title, description):
    shop = Shop()

    await shop.decide(fact)
    again = await shop.decide(fact)

    (task,) = shop.all(Task)
    assert (task.kind, task.title, task.description) == (TaskKind.CHECK, title, description)
    assert (task.priority, task.order_id, task.created_by) == (Priority.HIGH, ORDER, "system")
    assert again.ignored == "check task open"


async def test_the_catalogue_is_kept_with_its_offers():
    shop = Shop()

    await shop.decide(CreateProduct(sku="MUG-RED", name="Red mug", description="", price=UnitPrice(**dict(EUR))))
    await shop.decide(UpdateProduct(sku="MUG-RED", version=1, name="Mug"))
    archived = await shop.decide(ArchiveProduct(sku="MUG-RED"))
    again = await shop.decide(ArchiveProduct(sku="MUG-RED"))

    assert [(event.version, event.name, event.active) for event in shop.told] == [
        (1, "Red mug", True),
        (2, "Mug", True),
        (3, "Mug", False),
    ]
    assert (archived.sequence, again.changes) == (3, ())
    assert shop.find(Offer, "MUG-RED") == Offer(sku="MUG-RED", active=False)
    assert shop.find(Product, "MUG-RED").version == 3


async def test_republishing_tells_the_newest_version_as_its_sequence():
    shop = Shop(a_product(), a_product(sku="CAP-RED", version=4))

    decision = await shop.decide(RepublishProducts(skus=("MUG-RED", "NOPE", "CAP-RED")))

    assert [event.sku for event in decision.events] == ["MUG-RED", "CAP-RED"]
    assert (decision.sequence, decision.reply, decision.changes) == (4, 2, ())


async def test_republishing_nothing_tells_nothing():
    decision = await Shop().decide(RepublishProducts(skus=()))

    assert (decision.events, decision.sequence) == ((), 1)


async def test_a_delivery_of_goods_opens_the_main_warehouse_once():
    shop = Shop(Offer(sku="MUG-RED"))

    first = await shop.decide(AdjustStock(sku="MUG-RED", delta=9, reason=Reason.RECEIVED))
    second = await shop.decide(AdjustStock(sku="MUG-RED", delta=-1, reason=Reason.DAMAGED))

    assert shop.all(Warehouse) == [Warehouse(code="main")]
    assert [len(decision.changes) for decision in (first, second)] == [3, 2]
    assert (second.sequence, shop.find(Stock, "MUG-RED").on_hand) == (2, 8)


async def test_a_further_warehouse_is_opened_by_hand_and_serves_by_its_priority():
    shop = a_shop()
    await shop.decide(SetWarehouse(code="near", priority=-1))
    await shop.decide(AdjustStock(sku="MUG-RED", delta=9, reason=Reason.RECEIVED, warehouse="near"))

    await shop.decide(an_order_created())

    assert shop.levels() == {("MUG-RED", "near"): (9, 2), ("MUG-RED", "main"): (5, 0)}
