"""Values that mean the same thing in every service."""

from enum import StrEnum
from typing import Annotated, Any, NewType, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.wanted import Wanted

Thing = TypeVar("Thing")

LINES = 100  # of an order, at most
UNITS = 999  # of one line, at most
LARGEST = 9_007_199_254_740_991  # whole number that every reader of JSON has exactly (RFC 8259, 6)
CODE_LENGTH = 200
_INTEGER = 2_147_483_647  # the largest that a column of integers holds

OrderId = NewType("OrderId", UUID)
UserId = NewType("UserId", UUID)
PaymentId = NewType("PaymentId", UUID)
RefundId = NewType("RefundId", UUID)
ReservationId = NewType("ReservationId", UUID)
ShipmentId = NewType("ShipmentId", UUID)
ReturnId = NewType("ReturnId", UUID)
NotificationId = NewType("NotificationId", UUID)

Sku = Annotated[
    str,
    Field(pattern=r"^[A-Z0-9][A-Z0-9-]{0,63}$"),
    Wanted("must be a sku: capital letters, digits and hyphens, such as MUG-RED"),
]
LineNo = Annotated[int, Field(ge=1, le=LINES)]
Quantity = Annotated[int, Field(ge=1, le=UNITS)]
Summed = Annotated[int, Field(ge=1, le=LINES * UNITS)]  # of all lines that name the sku
Units = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=_INTEGER)]
Amount = Annotated[int, Field(ge=0, le=LARGEST)]
UnitAmount = Annotated[int, Field(ge=0, le=1_000_000_000)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$"), Wanted("must be a currency of ISO 4217, such as EUR")]
Version = Annotated[int, Field(ge=1, le=_INTEGER)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Words = Annotated[str, Field(min_length=1, max_length=100)]
Code = Annotated[str, Field(max_length=CODE_LENGTH)]
Sentence = Annotated[str, Field(max_length=500)]
Locale = Annotated[
    str,
    Field(pattern=r"^[a-z]{2}(-[A-Z]{2})?$", examples=["en", "de-DE"]),
    Wanted("must be a language, or a language and a country, such as en or de-DE"),
]
Lines = Annotated[tuple[Thing, ...], Field(max_length=LINES)]
Parts = Annotated[tuple[Thing, ...], Field(max_length=1_000)]  # of an order: what each warehouse has of each line
WarehouseCode = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$"),
    Wanted("must be a warehouse: small letters, digits, hyphens and underscores, such as main"),
]

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def order_number(order_id: UUID) -> str:
    """The order's name for people, derived from the last 50 bits of its id: ``7K3F9-Q2XAB``."""
    number = order_id.int
    tail = "".join([_CROCKFORD[number >> shift & 31] for shift in range(45, -1, -5)])
    return f"{tail[:5]}-{tail[5:]}"


def with_changes(thing: Thing, **changes: Any) -> Thing:
    """A copy of a frozen dataclass without slots, with these fields changed: ``dataclasses.replace`` takes far longer.

    Raises:
        TypeError: when it has no such field.
    """
    changed = object.__new__(type(thing))
    changed.__dict__.update(thing.__dict__, **changes)
    if len(changed.__dict__) > len(thing.__dict__):
        message = f"{type(thing).__name__} has no {', '.join(sorted(changes.keys() - thing.__dict__.keys()))}"
        raise TypeError(message)
    return changed


class Value(BaseModel):
    """A frozen value. Readers ignore fields that they do not know, so that schemas may grow."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Money(Value):
    """An amount in minor units: ``Money(amount=1299, currency="EUR")`` is 12.99 euro."""

    amount: Amount
    currency: Currency


class UnitPrice(Money):
    """What one unit of a product costs: an order of as many lines and units as there may be has a total then."""

    amount: UnitAmount


class OrderedLine(Value):
    """What one line of an order takes from the shelves."""

    line_no: LineNo
    sku: Sku
    quantity: Quantity


class PricedLine(Value):
    """One line of an order with the price that was accepted."""

    line_no: LineNo
    sku: Sku
    name: Name
    quantity: Quantity
    unit_price: Money

    @property
    def total(self) -> int:
        """The line's price in minor units."""
        return self.quantity * self.unit_price.amount


class Shortage(Value):
    """A sku of which more was asked than there is."""

    sku: Sku
    requested: Count
    available: Units


class Allocation(Value):
    """Units of one sku held in one warehouse."""

    sku: Sku
    quantity: Summed
    warehouse: WarehouseCode


class ShippedLine(Value):
    """Units of one sku that left in a shipment."""

    sku: Sku
    quantity: Summed


class ReturnedLine(Value):
    """Units of one sku that came back, and how many of them can be sold again."""

    sku: Sku
    quantity: Summed
    restocked: Annotated[int, Field(ge=0, le=LINES * UNITS)]


class Role(StrEnum):
    """What a user is in the shop; access tokens carry it."""

    CUSTOMER = "customer"
    STAFF = "staff"
    ADMIN = "admin"


class CancelPhase(StrEnum):
    """Whether an order was cancelled before or after it was confirmed."""

    PRE = "pre"
    POST = "post"


class CancelReason(StrEnum):
    """Why an order is cancelled."""

    CUSTOMER = "customer"
    OPERATOR = "operator"
    PAYMENT_FAILED = "payment_failed"
    DEADLINE = "deadline"


class RejectReason(StrEnum):
    """Why an order cannot be served at all."""

    INSUFFICIENT_STOCK = "insufficient_stock"
    ARCHIVED = "archived"
    SKU_UNKNOWN = "sku_unknown"


class RefundReason(StrEnum):
    """Why money goes back."""

    CANCELLED = "cancelled"
    RETURN = "return"
    GOODWILL = "goodwill"


class ReturnKind(StrEnum):
    """How a cancelled payment ended: nothing was taken, the charge was voided, or the money was returned."""

    NONE = "none"
    VOID = "void"
    REFUND = "refund"


class Priority(StrEnum):
    """How urgent a piece of work is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"
