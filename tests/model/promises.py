"""The promises (docs/promises.md) as the model sees them: at any instant, and once the shop has come to rest."""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

from tests.model.shop import SIZES, TOTAL, Books
from tests.model.states import ASKED, PAID, SETTLED, Order, Payment, Reservation

ENDED = frozenset({"cancelled", "reversed"})
EMPTY = frozenset({"none", "void", "released", "rejected"})
UNASKED = frozenset({"none", "pending", "rejected"})
UNPAID = frozenset({"none", "requires_method", "failed", *ENDED})


class View(NamedTuple):
    """One order's part of the shop. It is quiet when no message is under way that could change anything."""

    order: Order
    reservation: Reservation
    payment: Payment
    books: Books
    quiet: bool

    @property
    def is_confirmed(self) -> bool:
        return self.order.status in PAID

    @property
    def has_ended(self) -> bool:
        return self.order.status in {"cancelled", "rejected"}

    @property
    def granted(self) -> int:
        return SIZES[self.payment.refund.partition(":")[0]] if self.books.refund == "R" else 0

    @property
    def has_left(self) -> bool:
        return not {"s", "d"}.isdisjoint(self.reservation.tasks)

    @property
    def money_is_here(self) -> bool:
        return self.books.net == TOTAL - self.granted

    @property
    def shipments(self) -> frozenset[tuple[str, str]]:
        """What the order heard of each shipment, and how its task stands."""
        return frozenset(zip(self.order.shipments, self.reservation.tasks, strict=True))

    @property
    def waits_for_customer(self) -> bool:
        return self.order.failed == self.order.attempt or self.payment.status == "requires_method"

    @property
    def is_at_rest(self) -> bool:
        asks = self.payment.status in ASKED | {"reversing"} or self.payment.refund.endswith((":asked", ":unknown"))
        return self.quiet and not asks and "F" not in self.books.charges


MORE = frozenset({*product("sd", "-ox"), ("d", "s")})
AGREE = frozenset({("-", "o"), ("s", "s"), ("d", "d")})

# What must not be at any instant.
ALWAYS: dict[str, Callable[[View], bool]] = {
    "P1: charged twice": lambda it: it.books.captures > 1,
    "P2: more returned than captured": lambda it: it.books.net < 0,
    "P7: money taken before it was asked for": lambda it: bool(it.books.captures) and it.order.status in UNASKED,
    "confirmed, and the money is not secured": lambda it: it.is_confirmed and not it.money_is_here,
    "confirmed, and the stock is not held": lambda it: it.is_confirmed and it.reservation.status in EMPTY,
    "cancelled, and the customer is still charged": lambda it: it.order.status == "cancelled" and it.books.net != 0,
    "ended, and the stock is still held": lambda it: it.has_ended and it.reservation.status not in EMPTY,
    "the goods have left, and the money did not stay": lambda it: it.has_left and not it.money_is_here,
    "S4: what has left was given back to the shelf": lambda it: it.has_left and it.reservation.status in EMPTY,
    "the order says more than the warehouse did": lambda it: not MORE.isdisjoint(it.shipments),
    "P4: the books hold a charge that the ledger does not know": lambda it: (
        it.payment.status in UNPAID and it.books.net != 0
    ),
    "P4: the ledger holds a charge that the books do not know": lambda it: (
        it.payment.status == "captured" and not it.money_is_here
    ),
}

# What must not be when the shop is at rest: no message under way, and nobody asking the provider.
AT_REST: dict[str, Callable[[View], bool]] = {
    "O3: nobody will bring the order on": lambda it: (
        it.order.status in {"pending", "cancelling"}
        or (it.order.status == "awaiting_payment" and not it.waits_for_customer)
    ),
    "S6: committed, and not confirmed; or confirmed, and not committed": lambda it: (
        (it.reservation.status in {"committed", "consumed"}) != it.is_confirmed
    ),
    "the order does not agree with the warehouse": lambda it: it.is_confirmed and not AGREE.issuperset(it.shipments),
    "the order does not agree with the ledger about the refund": lambda it: (
        it.is_confirmed and it.order.refund != it.payment.refund
    ),
    "what came back is not paid back": lambda it: it.is_confirmed and it.reservation.returned and not it.order.refund,
}


def broken(view: View) -> list[str]:
    """Which promises do not hold."""
    promises = ALWAYS | AT_REST if view.is_at_rest else ALWAYS
    return [promise for promise, is_broken in promises.items() if is_broken(view)]


def settled(view: View) -> bool:
    """Whether the order's life is over and everybody agrees about it."""
    order, reservation, payment, _books, quiet = view
    match order.status:
        case "none":
            return True
        case "rejected":
            return quiet and reservation.status == "rejected" and payment.status == "none"
        case "cancelled":
            return quiet and reservation.status in EMPTY and payment.status in ENDED
        case "delivered":
            arrived = set(reservation.tasks) == {"d"} and reservation.status == "consumed"
            return quiet and arrived and payment.status == "captured" and payment.refund in SETTLED | {"full:done"}
    return False
