"""Bugs for the model: each takes a rule away and has to be noticed; ◆ marks rules that no other makes up for."""

from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from typing import Any, NamedTuple

from tests.model.machine import Row
from tests.model.shop import World
from tests.model.states import ASKED, GONE, Scope

Rows = Iterable[Row]
Change = Callable[[Row], Iterable[Row]]


class Bug(NamedTuple):
    """`seen_as`: what has to be found, a broken promise by its first words, or `stuck`."""

    seen_as: str
    rows: Callable[[str, Rows], Rows] = lambda _name, rows: rows
    world: World = World(creates=("create:card",))
    scope: Scope = Scope(cancels=1)
    orders: int = 1
    stock: int = 1


def where(row: Row, on: str, **given: Any) -> bool:
    return row.on.startswith(on) and all(row.given.get(field) == value for field, value in given.items())


def each(machine: str, change: Change) -> Callable[[str, Rows], Rows]:
    """The machine with every row changed."""
    return lambda name, rows: [new for row in rows for new in change(row)] if name == machine else rows


def plus(machine: str, *more: Row) -> Callable[[str, Rows], Rows]:
    return lambda name, rows: [*rows, *more] if name == machine else rows


def without(machine: str, on: str, **given: Any) -> Callable[[str, Rows], Rows]:
    return each(machine, lambda row: () if where(row, on, **given) else (row,))


def instead(machine: str, on: str, given: dict[str, Any], **new: Any) -> Callable[[str, Rows], Rows]:
    return each(machine, lambda row: (row._replace(**new),) if where(row, on, **given) else (row,))


def both(*bugs: Callable[[str, Rows], Rows]) -> Callable[[str, Rows], Rows]:
    return lambda name, rows: reduce(lambda so_far, bug: bug(name, so_far), bugs, rows)


def payment_does_not_wait(name: str, rows: Rows) -> Rows:
    def change(row: Row) -> Iterator[Row]:
        if name == "order" and row.on == "stock.reserved":
            yield row._replace(tells=())
        elif name == "payment" and row.on == "order.payment_requested:1:card":
            yield row._replace(on="stock.reserved")
        else:
            yield row

    return [new for row in rows for new in change(row)]


def declined_on(trigger: str) -> Callable[[str, Rows], Rows]:
    """A payment that takes an answer which is none for a decline."""

    def change(name: str, rows: Rows) -> Iterator[Row]:
        for row in rows:
            if name != "payment" or not where(row, f"{trigger}:"):
                yield row
            if name == "payment" and where(row, "provider.declined:"):
                yield row._replace(on=row.on.replace("provider.declined", trigger))

    return change


def refund_does_not_wait(name: str, rows: Rows) -> Rows:
    def change(row: Row) -> Iterator[Row]:
        if where(row, "cancel", status="confirmed"):
            yield row._replace(tells=(*row.tells, "order.refund_requested:all"))
        elif name == "order" and row.on == "stock.released":
            yield row._replace(tells=tuple(told for told in row.tells if told != "order.refund_requested:all"))
        else:
            yield row

    return [new for row in rows for new in change(row)]


def second_attempt_while_one_is_unknown(name: str, rows: Rows) -> Rows:
    yield from rows
    if name == "order":
        given = {"status": "awaiting_payment", "attempt": 1, "failed": 0}
        yield Row(given, "pay", {"attempt": 2}, ("order.payment_requested:2:card",))
    if name == "payment":
        given = {"status": ASKED, "attempt": 1}
        yield Row(given, "order.payment_requested:2:card", {"status": "processing", "attempt": 2})


def always_released(name: str, rows: Rows) -> Rows:
    for row in rows:
        if name == "reservation" and row.tells and row.tells[0].startswith("stock.cancellation_refused"):
            yield row._replace(then={"status": "released"}, tells=("stock.released",))
        else:
            yield row


def stale_answers_count(name: str, rows: Rows) -> Rows:
    yield from rows
    if name == "payment":
        processing = {"status": ASKED, "attempt": 2, "flagged": False}
        yield Row(processing, "provider.declined:1", {"status": "failed"}, ("payment.failed:2",))


def told_apart(name: str, rows: Rows) -> Rows:
    """A cancelled order does not wait for the money."""
    for row in rows:
        if name == "order" and row.on == "stock.released" and row.given.get("money_settled") is False:
            yield row._replace(then={**row.then, "status": "cancelled"}, tells=(*row.tells, "order.cancelled"))
        else:
            yield row


CHARGED = "cancelled, and the customer is still charged"
HELD = "ended, and the stock is still held"
NOBODY = "O3: nobody will bring the order on"
EARLY = "P7: money taken before it was asked for"
TWICE = "P1: charged twice"
RICH = "P2: more returned than captured"
DISAGREE = "the order does not agree with the warehouse"
LOST = "what came back is not paid back"
ANY_CARD = World()
RETURNS = World(creates=("create:card",), returns=True)
REFUSING = World(creates=("create:card",), reversal_refused=True)
FULL = Scope(refunds=("full",), cancels=1)

BUGS: dict[str, Bug] = {
    "◆ inventory releases holds by a clock of its own": Bug(
        "confirmed, and the stock is not held",
        plus("reservation", Row({"status": "held"}, "bug", {"status": "released"}, ("stock.released",))),
    ),
    "◆ payment does not wait for PaymentRequested": Bug(EARLY, payment_does_not_wait),
    "◆ no tombstone in inventory, the cancellation is answered": Bug(
        HELD, instead("reservation", "order.cancellation_requested", {"status": "none"}, then={})
    ),
    "◆ no tombstone in inventory, the cancellation is ignored": Bug(
        NOBODY, without("reservation", "order.cancellation_requested", status="none")
    ),
    "◆ no tombstone in payment, the cancellation is answered": Bug(
        CHARGED, instead("payment", "order.cancellation_requested", {"status": "none"}, then={})
    ),
    "◆ no tombstone in payment, the cancellation is ignored": Bug(
        NOBODY, without("payment", "order.cancellation_requested", status="none")
    ),
    "◆ a timeout is a decline": Bug(TWICE, declined_on("provider.silent")),
    "not found is a decline": Bug(TWICE, declined_on("provider.not_found")),
    "◆ a new key for each try": Bug(TWICE, world=World(creates=("create:card",), new_key_per_try=True)),
    "a second attempt while one is unknown": Bug(TWICE, second_attempt_while_one_is_unknown),
    "◆ the refund does not wait for the warehouse": Bug(
        "the goods have left, and the money did not stay", refund_does_not_wait
    ),
    "◆ a dispatch is ignored while cancelling": Bug("stuck", without("order", "shipment.", status="cancelling")),
    "a return is ignored while cancelling": Bug(
        LOST, without("order", "return.received", status="cancelling"), RETURNS
    ),
    "the order goes on as confirmed, whatever has left": Bug(
        DISAGREE,
        each(
            "order",
            lambda row: (
                (row._replace(then={**row.then, "status": "confirmed"}, tells=()),)
                if where(row, "stock.cancellation_refused")
                else (row,)
            ),
        ),
    ),
    "◆ a success after the cancellation is kept": Bug(
        "stuck", instead("payment", "provider.charged", {"flagged": True}, then={"status": "captured"})
    ),
    "the flag is forgotten": Bug("stuck", without("payment", "order.cancellation_requested", status=ASKED)),
    "a decline after the cancellation is not the end": Bug(
        "stuck", instead("payment", "provider.declined", {"flagged": True}, then={"status": "failed"}, tells=())
    ),
    "the warehouse releases what has left": Bug("S4: what has left was given back to the shelf", always_released),
    "the order does not wait for the money": Bug(CHARGED, told_apart),
    "the shelf is not checked": Bug(
        "S3: more is held than there is",
        world=World(creates=("create:card",), lost_answers=False, shelf_unchecked=True),
        scope=Scope(1, 1, (), 1),
        orders=2,
    ),
    "a new key for each try of a refund": Bug(RICH, world=World(creates=("create:card",), new_refund_key_per_try=True)),
    "a reversal does not wait for an open refund": Bug(
        RICH, world=World(creates=("create:card",), reversal_waits=False)
    ),
    "nothing left to reverse is not the end": Bug(
        "stuck", instead("payment", "order.refund_requested:all", {"refund": "full:done"}, tells=()), scope=FULL
    ),
    "a refused reversal waits for nobody": Bug("stuck", without("payment", "resolve:retry"), REFUSING),
    "no deadline for an order without a card": Bug(
        "stuck", without("order", "pay_by", card=False), ANY_CARD, Scope(1, 1, (), 1)
    ),
    "no deadline for an order whose card was declined": Bug("stuck", without("order", "pay_by", failed=1)),
    "the last decline is not the end": Bug(
        "stuck", instead("order", "payment.failed:2", {"attempt": 2}, then={"failed": 2}, tells=())
    ),
    "an old attempt's answer counts for the new one": Bug(CHARGED, stale_answers_count),
    "a stock rejection while cancelling is ignored, and not told again": Bug(
        "stuck",
        both(
            without("order", "stock.rejected", phase="pre"),
            without("reservation", "order.cancellation_requested", status=GONE),
        ),
        stock=0,
    ),
}
