"""The rules of the shop as data: order, reservation and payment in abstract form, one row a rule.

The model explores them; `test_tables_equal_domains` drives the real domains over the same states and compares.
"""

from collections.abc import Iterator
from itertools import product

from tests.model.machine import Row
from tests.model.states import ASKED, GONE, OPEN, PAID, SETTLED, Scope, cancellations, letters_of, put, reached, said


def order_rows(scope: Scope) -> list[Row]:
    return [
        Row({"status": "none"}, "create:card", {"status": "pending", "card": True}, ("order.created",)),
        Row({"status": "none"}, "create:later", {"status": "pending", "card": False}, ("order.created",)),
        Row({"status": "pending"}, "stock.rejected", {"status": "rejected"}, ("order.rejected",)),
        *order_paying(scope),
        *order_giving_up(scope),
        *order_cancelling(scope),
        *order_shipping(scope),
        *order_refunding(scope),
    ]


def order_paying(scope: Scope) -> Iterator[Row]:
    paying = {"status": "awaiting_payment", "attempt": 1}
    yield Row({"status": "pending", "card": True}, "stock.reserved", paying, ("order.payment_requested:1:card",))
    yield Row({"status": "pending", "card": False}, "stock.reserved", paying, ("order.payment_requested:1:later",))
    for number in range(1, scope.attempts + 1):
        waits = {"status": "awaiting_payment", "attempt": number}
        done = Row({"status": "awaiting_payment"}, f"payment.succeeded:{number}", {"status": "confirmed"})
        yield done._replace(tells=("order.confirmed",))
        if number < scope.attempts:
            yield Row({**waits, "failed": number - 1}, f"payment.failed:{number}", {"failed": number})
            again = {"attempt": number + 1, "card": True}
            yield Row({**waits, "failed": number}, "pay", again, (f"order.payment_requested:{number + 1}:card",))


def order_giving_up(scope: Scope) -> Iterator[Row]:
    cancelling = {"status": "cancelling", "phase": "pre", "cancel_no": 1}
    tells = ("order.cancellation_requested:pre:1",)
    last = {"status": "awaiting_payment", "attempt": scope.attempts}
    yield Row(last, f"payment.failed:{scope.attempts}", {**cancelling, "failed": scope.attempts}, tells)
    for trigger in ("cancel", "settle_by"):
        yield Row({"status": OPEN}, trigger, cancelling, tells)
    for number in range(1, scope.attempts):
        waits = {"status": "awaiting_payment", "attempt": number, "failed": number}
        yield Row(waits, "pay_by", cancelling, tells)
    yield Row({"status": "awaiting_payment", "attempt": 1, "failed": 0, "card": False}, "pay_by", cancelling, tells)
    for number in range(1, scope.cancels + 1):
        paid = {"status": "confirmed", "cancel_no": number - 1}
        then = {"status": "cancelling", "phase": "post", "cancel_no": number}
        yield Row(paid, "cancel", then, (f"order.cancellation_requested:post:{number}",))


def order_cancelling(scope: Scope) -> Iterator[Row]:
    for phase, trigger, asks in (
        ("pre", "stock.released", ()),
        ("post", "stock.released", ("order.refund_requested:all",)),
        ("pre", "stock.rejected", ()),
        ("post", "stock.rejected", ()),
    ):
        open_stock = {"status": "cancelling", "phase": phase, "stock_settled": False}
        yield Row({**open_stock, "money_settled": False}, trigger, {"stock_settled": True}, asks)
        ended = {"stock_settled": True, "status": "cancelled"}
        yield Row({**open_stock, "money_settled": True}, trigger, ended, (*asks, "order.cancelled"))
    yield from money_settled("payment.cancelled", {}, {})
    for number in range(1, scope.cancels + 1):
        for heard in letters_of("-sd", scope):
            refused = {"status": "cancelling", "phase": "post", "cancel_no": number, "shipments": heard}
            then = {"status": said(heard), "phase": "", "stock_settled": False, "money_settled": False}
            yield Row(refused, f"stock.cancellation_refused:{number}", then, reached("", said(heard)))


def money_settled(trigger: str, given: dict[str, object], then: dict[str, object]) -> Iterator[Row]:
    open_money = {"status": "cancelling", "money_settled": False, **given}
    yield Row({**open_money, "stock_settled": False}, trigger, {"money_settled": True, **then})
    ended = {"money_settled": True, "status": "cancelled", **then}
    yield Row({**open_money, "stock_settled": True}, trigger, ended, ("order.cancelled",))


def order_shipping(scope: Scope) -> Iterator[Row]:
    for heard, at in product(letters_of("-sd", scope), range(scope.shipments)):
        for trigger, letter in (("shipment.dispatched", "s"), ("shipment.delivered", "d")):
            if "-sd".index(heard[at]) < "-sd".index(letter):
                after = put(heard, at, letter)
                paid = {"status": said(heard), "shipments": heard}
                then = {"status": said(after), "shipments": after}
                yield Row(paid, f"{trigger}:{at}", then, reached(said(heard), said(after)))
                yield Row({"status": "cancelling", "shipments": heard}, f"{trigger}:{at}", {"shipments": after})


def order_refunding(scope: Scope) -> Iterator[Row]:
    for size in scope.refunds:
        asked, refused = {"refund": f"{size}:asked"}, {"refund": f"{size}:refused"}
        told, trigger = (f"order.refund_requested:{size}",), f"refund.succeeded:{size}"
        yield Row({"status": PAID, "refund": ""}, f"refund:{size}", asked, told)
        if size == "part":
            yield Row({"status": PAID, "refund": ""}, "return.received", asked, told)
            unanswered = {"status": "cancelling", "phase": "post", "stock_settled": False, "refund": ""}
            yield Row(unanswered, "return.received", asked, told)
        yield Row({"status": PAID | {"cancelling"}, **asked}, f"refund.failed:{size}", refused)
        waits, done = {"refund": frozenset({f"{size}:asked", f"{size}:refused"})}, {"refund": f"{size}:done"}
        yield Row({"status": PAID, **waits}, trigger, done)
        if size == "full":
            yield from money_settled(trigger, waits, done)
        else:
            yield Row({"status": "cancelling", **waits}, trigger, done)


def reservation_rows(scope: Scope) -> Iterator[Row]:
    opened, cancelled = "o" * scope.shipments, "x" * scope.shipments
    yield Row({"status": "none"}, "order.created:enough", {"status": "held"}, ("stock.reserved",))
    yield Row({"status": "none"}, "order.created:short", {"status": "rejected"}, ("stock.rejected",))
    yield Row({"status": "held"}, "order.confirmed", {"status": "committed", "tasks": opened})
    released = ("stock.released",)
    for phase, number in cancellations(scope):
        cancel = f"order.cancellation_requested:{phase}:{number}"
        yield Row({"status": "none"}, cancel, {"status": "void"}, released)
        yield Row({"status": "held"}, cancel, {"status": "released"}, released)
        begun = {"status": "committed", "tasks": opened}
        yield Row(begun, cancel, {"status": "released", "tasks": cancelled}, released)
        yield Row({"status": GONE}, cancel, {}, released)
        left = frozenset(letters_of("osd", scope)) - {opened}
        refused = (f"stock.cancellation_refused:{number}",)
        yield Row({"status": frozenset({"committed", "consumed"}), "tasks": left}, cancel, {}, refused)
    came_back = frozenset(letters for letters in letters_of("osd", scope) if letters[-1] in "sd")
    if "part" in scope.refunds:
        yield Row({"tasks": came_back, "returned": False}, "return", {"returned": True}, ("return.received",))
    for tasks, at in product(letters_of("osd", scope), range(scope.shipments)):
        if tasks[at] == "o":
            after = put(tasks, at, "s")
            status = "committed" if "o" in after else "consumed"
            given = {"status": "committed", "tasks": tasks}
            yield Row(given, f"complete:{at}", {"tasks": after, "status": status}, (f"shipment.dispatched:{at}",))
        if tasks[at] == "s":
            yield Row({"tasks": tasks}, f"deliver:{at}", {"tasks": put(tasks, at, "d")}, (f"shipment.delivered:{at}",))


CANCELLED = ("payment.cancelled",)
GIVE_BACK = ("order.cancellation_requested:pre:1", "order.refund_requested:all")


def payment_rows(scope: Scope) -> Iterator[Row]:
    first = {"status": "processing", "attempt": 1}
    yield Row({"status": "none"}, "order.payment_requested:1:card", first)
    yield Row({"status": "none"}, "order.payment_requested:1:later", {"status": "requires_method"})
    yield Row({"status": "requires_method"}, "create_payment", first)
    for number in range(1, scope.attempts):
        again = {"status": "processing", "attempt": number + 1}
        failed = {"status": "failed", "attempt": number}
        yield Row(failed, f"order.payment_requested:{number + 1}:card", again)
    for number in range(1, scope.attempts + 1):
        yield from payment_answers(number)
    yield from payment_giving_back(scope)
    for size in scope.refunds:
        yield from payment_refunding(size)


def payment_answers(number: int) -> Iterator[Row]:
    asked = {"status": ASKED, "attempt": number}
    fine, flagged = {**asked, "flagged": False}, {**asked, "flagged": True}
    succeeded, failed = (f"payment.succeeded:{number}",), (f"payment.failed:{number}",)
    known = {"flagged": False, "person": False}
    yield Row(fine, f"provider.charged:{number}", {"status": "captured", **known}, succeeded)
    yield Row(flagged, f"provider.charged:{number}", {"status": "reversing", **known})
    yield Row(fine, f"provider.declined:{number}", {"status": "failed", **known}, failed)
    yield Row(flagged, f"provider.declined:{number}", {"status": "cancelled", **known}, CANCELLED)
    for trigger in ("provider.silent", "provider.silent_for_long"):
        yield Row({"status": "processing", "attempt": number}, f"{trigger}:{number}", {"status": "unknown"})
    unknown = {"status": "unknown", "attempt": number, "person": False}
    yield Row(unknown, f"provider.silent_for_long:{number}", {"person": True}, ("payment.unresolved",))


def payment_giving_back(scope: Scope) -> Iterator[Row]:
    left = {"", *(f"{size}:{state}" for size in scope.refunds for state in ("asked", "unknown", "done", "refused"))}
    for status in ("none", "failed", "requires_method"):
        yield Row({"status": status}, GIVE_BACK[0], {"status": "cancelled"}, CANCELLED)
    yield Row({"status": ASKED, "flagged": False}, GIVE_BACK[0], {"flagged": True})
    for trigger in GIVE_BACK:
        some = {"status": "captured", "refund": frozenset(left - {"full:done"})}
        yield Row(some, trigger, {"status": "reversing"})
        yield Row({"status": "captured", "refund": "full:done"}, trigger, {"status": "reversed"}, CANCELLED)
        yield Row({"status": frozenset({"cancelled", "reversed"})}, trigger, {}, CANCELLED)
    asked = {"status": "reversing", "person": False, "refund": SETTLED}
    yield Row(asked, "provider.reversed", {"status": "reversed"}, CANCELLED)
    yield Row(asked, "provider.reversal_refused", {"person": True}, ("payment.unresolved",))
    yield Row({"status": "reversing", "person": True}, "resolve:retry", {"person": False})


def payment_refunding(size: str) -> Iterator[Row]:
    is_open = frozenset({f"{size}:asked", f"{size}:unknown"})
    asked, done, refused = {"refund": f"{size}:asked"}, {"refund": f"{size}:done"}, {"refund": f"{size}:refused"}
    yield Row({"status": "captured", "refund": ""}, f"order.refund_requested:{size}", asked)
    yield Row(asked, f"provider.refund_silent:{size}", {"refund": f"{size}:unknown"})
    yield Row({"refund": is_open}, f"provider.refund_refused:{size}", refused, (f"refund.failed:{size}",))
    captured, reversing = {"status": "captured", "refund": is_open}, {"status": "reversing", "refund": is_open}
    told = (f"refund.succeeded:{size}",)
    yield Row(captured, f"provider.refunded:{size}", done, told)
    if size == "full":
        yield Row(reversing, "provider.refunded:full", {**done, "status": "reversed"}, (*told, *CANCELLED))
    else:
        yield Row(reversing, f"provider.refunded:{size}", done, told)
