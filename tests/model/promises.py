"""The promises of 2-domain.md as the model sees them: at any instant, and once the shop has come to rest."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from tests.model.shop import SIZES, TOTAL, Books
from tests.model.tables import ASKED, PAID, SETTLED, Order, Payment, Reservation

ENDED = frozenset({"cancelled", "reversed"})
EMPTY = frozenset({"none", "void", "released", "rejected"})


class View(NamedTuple):
    """One order's part of the shop. It is quiet when no message is under way that could change anything."""

    order: Order
    reservation: Reservation
    payment: Payment
    books: Books
    quiet: bool

    @property
    def granted(self) -> int:
        return SIZES[self.payment.refund.partition(":")[0]] if self.books.refund == "R" else 0

    @property
    def has_left(self) -> bool:
        return not {"s", "d"}.isdisjoint(self.reservation.tasks)


def broken(view: View) -> Iterator[str]:
    """Which promises do not hold at this instant."""
    order, reservation, payment, books, _quiet = view
    if books.captures > 1:
        yield "P1: charged twice"
    if books.net < 0:
        yield "P2: more returned than captured"
    if order.status in {"none", "pending", "rejected"} and books.captures:
        yield "P7: money taken before it was asked for"
    if order.status in PAID and books.net != TOTAL - view.granted:
        yield "confirmed, and the money is not secured"
    if order.status in PAID and reservation.status in EMPTY:
        yield "confirmed, and the stock is not held"
    if order.status == "cancelled" and books.net:
        yield "cancelled, and the customer is still charged"
    if order.status in {"cancelled", "rejected"} and reservation.status not in EMPTY:
        yield "ended, and the stock is still held"
    if view.has_left and books.net != TOTAL - view.granted:
        yield "the goods have left, and the money did not stay"
    if view.has_left and reservation.status in EMPTY:
        yield "S4: what has left was given back to the shelf"
    if set(zip(order.shipments, reservation.tasks, strict=True)) & MORE:
        yield "the order says more than the warehouse did"
    if payment.status in {"none", "requires_method", *ENDED} and books.net:
        yield "P4: the books hold a charge that the ledger does not know"
    if payment.status == "captured" and books.net != TOTAL - view.granted:
        yield "P4: the ledger holds a charge that the books do not know"


def unsettled(view: View) -> Iterator[str]:
    """What is wrong with a shop at rest: no message under way, and nobody asking the provider."""
    order, reservation, payment, books, quiet = view
    waits_for_provider = payment.status in ASKED or payment.refund.endswith((":asked", ":unknown"))
    if not quiet or waits_for_provider or payment.status == "reversing" or "F" in books.charges:
        return
    waits_for_customer = order.failed == order.attempt or payment.status == "requires_method"
    if order.status in {"pending", "cancelling"} or (order.status == "awaiting_payment" and not waits_for_customer):
        yield "O3: nobody will bring the order on"
    if (reservation.status in {"committed", "consumed"}) != (order.status in PAID):
        yield "S6: committed, and not confirmed; or confirmed, and not committed"
    if order.status in PAID and set(zip(order.shipments, reservation.tasks, strict=True)) - AGREE:
        yield "the order does not agree with the warehouse"
    if order.status in PAID and order.refund != payment.refund:
        yield "the order does not agree with the ledger about the refund"


MORE = frozenset({*product("sd", "-ox"), ("d", "s")})
AGREE = frozenset({("-", "o"), ("s", "s"), ("d", "d")})


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
