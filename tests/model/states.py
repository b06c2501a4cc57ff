"""The states of order, reservation and payment in abstract form, and how much of them is looked at."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple


class Scope(NamedTuple):
    """How much of the shop is looked at. A shipment is a letter; a refund is a part of the total or the full of it."""

    attempts: int = 2
    shipments: int = 1
    refunds: tuple[str, ...] = ("part",)
    cancels: int = 2


class Order(NamedTuple):
    """`shipments`: what was heard of each: `-` nothing, `s` it left, `d` it arrived. `refund`: `part:asked` or so."""

    shipments: str
    status: str = "none"
    phase: str = ""
    cancel_no: int = 0
    stock_settled: bool = False
    money_settled: bool = False
    attempt: int = 0
    failed: int = 0
    card: bool = True
    refund: str = ""


class Reservation(NamedTuple):
    """`tasks`, a letter each: `-` none, `o` open, `s` shipped, `d` delivered, `x` cancelled."""

    tasks: str
    status: str = "none"
    returned: bool = False


class Payment(NamedTuple):
    """`flagged`: a cancellation waits for the provider's answer. `person`: somebody was told to look."""

    status: str = "none"
    attempt: int = 0
    flagged: bool = False
    person: bool = False
    refund: str = ""


OPEN = frozenset({"pending", "awaiting_payment"})
PAID = frozenset({"confirmed", "partially_shipped", "shipped", "delivered"})
ASKED = frozenset({"processing", "unknown"})
SETTLED = frozenset({"", "part:done", "part:refused", "full:refused"})
GONE = frozenset({"rejected", "void", "released"})


def is_beyond(scope: Scope, state: Order | Reservation | Payment, trigger: str) -> bool:
    """Whether a trigger leads out of what the model looks at: one refund an order, and so many cancellations."""
    match state, trigger.split(":"):
        case Order(refund=refund), ["refund" | "return.received", *_]:
            return refund != ""
        case Order(status="confirmed", cancel_no=number), ["cancel"]:
            return number == scope.cancels
        case Payment(refund=refund), ["order.refund_requested", size] if size != "all":
            return refund.partition(":")[0] not in {"", size}
    return False


def put(letters: str, at: int, letter: str) -> str:
    return letters[:at] + letter + letters[at + 1 :]


def cancellations(scope: Scope) -> Iterator[tuple[str, int]]:
    """Phase and number: an order is cancelled at most once before it is confirmed, and then it has ended."""
    yield "pre", 1
    for number in range(1, scope.cancels + 1):
        yield "post", number


def said(letters: str) -> str:
    """The status that stored shipments say."""
    if set(letters) == {"d"}:
        return "delivered"
    if "-" not in letters:
        return "shipped"
    return "confirmed" if set(letters) == {"-"} else "partially_shipped"


def reached(before: str, after: str) -> tuple[str, ...]:
    """What is told when stored shipments change; `before` is empty when the order comes back from cancelling."""
    ladder = ("shipped", "delivered")
    rank = {"": 0, "confirmed": 0, "partially_shipped": 0, "shipped": 1, "delivered": 2}
    return tuple(f"order.{step}" for step in ladder[rank[before] : rank[after]])


def letters_of(alphabet: str, scope: Scope) -> Iterator[str]:
    return map("".join, product(alphabet, repeat=scope.shipments))
