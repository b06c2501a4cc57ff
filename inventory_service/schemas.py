"""What clients of inventory_service send and see."""

from typing import Annotated

from pydantic import Field, model_validator

from chassis.http import Body, View
from chassis.ids import MovementRef, OrderRef, ReservationRef, ReturnRef, ShipmentRef, TaskRef, UserRef
from chassis.times import Moment, Timestamp
from contracts import types
from contracts.stock import ReturnReceived
from contracts.text import ONE_LINE
from contracts.types import Currency, Money, Priority, Quantity, ReturnedLine, ShippedLine, Sku, WarehouseCode
from inventory_service.domain.movement import Kind, Movement, Reason
from inventory_service.domain.reservation import Status
from inventory_service.domain.stock import Stock
from inventory_service.domain.task import DESCRIPTION_LENGTH, TITLE_LENGTH, TaskKind, TaskStatus

Name = Annotated[types.Name, ONE_LINE]
Words = Annotated[types.Words, ONE_LINE]
Description = Annotated[str, Field(max_length=5000)]
Title = Annotated[str, Field(min_length=1, max_length=TITLE_LENGTH), ONE_LINE]
TaskDescription = Annotated[str, Field(max_length=DESCRIPTION_LENGTH)]
Delta = Annotated[int, Field(ge=-1_000_000, le=1_000_000, description="What on_hand changes by; not 0.")]


class Price(Body):
    """An amount in minor units."""

    amount: Annotated[types.UnitAmount, Field(strict=True)]
    currency: Currency

    @property
    def money(self) -> types.UnitPrice:
        return types.UnitPrice(amount=self.amount, currency=self.currency)


class ProductCreate(Body):
    sku: Sku
    name: Name
    description: Description = ""
    price: Price
    active: bool = True


class ProductUpdate(Body):
    """What is left out stays."""

    name: Name | None = None
    description: Description | None = None
    price: Price | None = None
    active: bool | None = None


class ProductView(View):
    sku: str
    name: str
    description: str
    price: Money
    active: bool
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class AvailabilityView(View):
    sku: str
    available: int
    active: bool


class LevelView(View):
    warehouse: str
    on_hand: int
    reserved: int
    available: int
    backorder_limit: int
    low_threshold: int
    low: bool


class StockView(View):
    sku: str
    on_hand: int
    reserved: int
    available: int
    warehouses: list[LevelView]

    @classmethod
    def of(cls, stock: Stock) -> "StockView":
        same = {name: getattr(stock, name) for name in ("sku", "on_hand", "reserved", "available")}
        return cls(**same, warehouses=[LevelView.model_validate(level) for level in stock.levels])


class StockAdjust(Body):
    delta: Delta
    reason: Reason
    warehouse: WarehouseCode = "main"

    @model_validator(mode="after")
    def _moves_something(self) -> "StockAdjust":
        if self.delta == 0:
            message = "delta must not be 0"
            raise ValueError(message)
        return self


class MovementView(View):
    id: MovementRef
    sku: str
    warehouse: str
    kind: Kind
    delta: int
    reserved_delta: int
    reason: Reason | None
    reference: str
    order_id: OrderRef | None
    actor: str
    created_at: Timestamp

    @classmethod
    def of(cls, movement: Movement) -> "MovementView":
        fields = {name: getattr(movement, name) for name in cls.model_fields}
        return cls(**{**fields, "reference": str(movement.reference)})


class HoldView(View):
    sku: str
    warehouse: str
    quantity: int
    shipped: int
    returned: int


class ShipmentView(View):
    id: ShipmentRef
    task_id: TaskRef
    lines: tuple[ShippedLine, ...]
    carrier: str | None
    tracking: str | None
    dispatched_at: Timestamp
    delivered_at: Timestamp | None


class ReservationView(View):
    id: ReservationRef
    order_id: OrderRef
    customer_id: UserRef | None
    status: Status
    holds: list[HoldView]
    task_ids: list[TaskRef]
    shipments: list[ShipmentView]
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class TaskReplace(Body):
    """The whole task as it is to be."""

    title: Title
    description: TaskDescription = ""
    status: TaskStatus = TaskStatus.PENDING
    priority: Priority = Priority.MEDIUM
    assignee: UserRef | None = None
    due_at: Moment | None = None


class TaskCreate(TaskReplace):
    """A manual task; ``order_id`` says which order it is about and never changes."""

    order_id: OrderRef | None = None


class TaskUpdate(Body):
    """What is left out stays."""

    title: Title = Field(default_factory=str)
    description: TaskDescription = Field(default_factory=str)
    status: TaskStatus = Field(default_factory=lambda: TaskStatus.PENDING)
    priority: Priority = Field(default_factory=lambda: Priority.MEDIUM)
    assignee: UserRef | None = Field(default_factory=lambda: None)
    due_at: Moment | None = Field(default_factory=lambda: None)


class TaskCompletion(Body):
    carrier: Words | None = None
    tracking_number: Words | None = None


class TaskView(View):
    id: TaskRef
    kind: TaskKind
    title: str
    description: str
    status: TaskStatus
    priority: Priority
    assignee: UserRef | None
    due_at: Timestamp | None
    order_id: OrderRef | None
    warehouse: str | None
    created_by: str
    version: int
    created_at: Timestamp
    updated_at: Timestamp
    completed_at: Timestamp | None


class ReturnLine(Body):
    sku: Sku
    quantity: Quantity
    restocked: Annotated[int, Field(ge=0, le=types.UNITS, description="How many of them can be sold again.")]

    @model_validator(mode="after")
    def _restocks_what_came(self) -> "ReturnLine":
        if self.restocked > self.quantity:
            message = "restocked must not be more than quantity"
            raise ValueError(message)
        return self


class ReturnCreate(Body):
    order_id: OrderRef
    lines: Annotated[list[ReturnLine], Field(min_length=1, max_length=types.LINES)]


class ReturnView(View):
    id: ReturnRef
    order_id: OrderRef
    lines: tuple[ReturnedLine, ...]

    @classmethod
    def of(cls, event: ReturnReceived) -> "ReturnView":
        return cls(id=event.return_id, order_id=event.order_id, lines=event.lines)


class AvailabilityAsked(Body):
    skus: Annotated[list[Sku], Field(max_length=100)]


class AvailabilityTold(View):
    """What can be sold now of each sku that was asked for; 0 for one that nobody knows."""

    available: dict[str, int]
