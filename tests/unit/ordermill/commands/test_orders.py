"""`orders`: placing, finding and cancelling them, and the story of one."""

import re
import sys

import pytest

from chassis.problems import Problem
from contracts.types import UNITS
from ordermill.errors import Exit
from tests.support.small_shop import AT, an_order, euros


def test_an_order_is_placed_by_a_new_customer_and_waited_for(shop, ordermill):
    lines = ("--sku", "MUG-RED:2", "--sku", "CAP-RED")

    said = ordermill("orders", "create", *lines, "--token", "tok_declined", "--wait", "5")

    [order] = shop.orders.values()
    assert order["lines"] == [{"sku": "MUG-RED", "quantity": 2}, {"sku": "CAP-RED", "quantity": 1}]
    assert order["customer_id"].startswith("customer-")
    assert [re.split("  +", line) for line in said.out.splitlines()] == [
        ["id", "ord_1"], ["number", "N-1"], ["status", "awaiting_payment"], ["payment", "failed"],
        ["fulfilment", "unfulfilled"], ["total", "38.97 EUR"], ["created_at", AT],
        ["lines", "2 × MUG-RED, 1 × CAP-RED"], ["customer", order["customer_id"]], ["trace id", "t1"],
    ]  # fmt: skip
    assert (said.code, said.err) == (0, "")


def test_a_token_that_the_provider_does_not_know_is_said(shop, ordermill):
    said = ordermill("orders", "create", "--sku", "MUG-RED", "--token", "tok_nope", "-o", "json")

    assert said.json["id"] == "ord_1"
    assert said.err.splitlines() == [
        "the payment provider knows no token tok_nope, and declines it",
        "→ See those that it knows with: ordermill payments tokens",
    ]


class Away(list):
    def __iter__(self):
        raise Problem("unavailable")


def test_an_order_is_shown_though_nobody_can_say_which_tokens_there_are(shop, ordermill):
    shop.lists["/payments/test-tokens"] = Away()

    said = ordermill("orders", "create", "--sku", "MUG-RED", "--token", "tok_nope", "-o", "json")

    assert (said.code, said.json["id"], said.err) == (0, "ord_1", "")


@pytest.mark.parametrize(("status", "shown"), [("awaiting_payment", True), ("cancelled", False), ("confirmed", False)])
def test_until_when_an_order_can_be_paid_is_shown_while_it_can(shop, ordermill, status, shown):
    shop.orders["ord_1"] = {**an_order(1, "usr_1", []), "status": status, "pay_by": AT, "course": []}

    assert ("pay by" in ordermill("orders", "show", "ord_1").out) is shown


def test_an_order_without_a_token_waits_for_one(shop, ordermill):
    said = ordermill("orders", "create", "--sku", "MUG-RED", "-o", "json")

    assert said.json["status"] == "pending"
    assert said.err.splitlines() == [
        "it waits for its payment, for half an hour",
        '→ Order with --token, or: POST /api/v1/orders/ord_1/payments {"token": "tok_ok"}',
    ]


def test_the_same_key_of_the_same_customer_is_the_same_order(shop, ordermill, monkeypatch):
    monkeypatch.setenv("ORDERMILL_TOKEN", ordermill("token").out.strip())

    first = ordermill("orders", "create", "--sku", "MUG-RED", "--key", "k", "-o", "json")
    again = ordermill("orders", "create", "--sku", "MUG-RED", "--key", "k", "-o", "json")

    assert again.json["id"] == first.json["id"]
    assert again.err.splitlines()[0] == "this key was used before: it is the same order"
    assert len(shop.orders) == 1


def test_a_refusal_names_the_places_that_are_wrong_and_the_mend(shop, ordermill):
    shop.broken = ["sku_unknown", "price_changed"]

    unknown = ordermill("orders", "create", "--sku", "NOPE")
    changed = ordermill("orders", "create", "--sku", "MUG-RED")

    assert unknown.code == Exit.FAILED
    assert unknown.err == "Unknown sku: sku_unknown\n→ See which there are with: ordermill stock list\n"
    assert changed.err == "The price has changed: price_changed\n→ Ask again without the total that you expected.\n"


@pytest.mark.parametrize("line", ["mug:1", "MUG-RED:x", "MUG-RED:-1", "MUG-RED:²", ":2"])
def test_what_is_no_line_is_refused_before_anybody_is_asked(shop, ordermill, line):
    said = ordermill("orders", "create", "--sku", line)

    assert said.code == 2
    assert "no line" in said.err
    assert not shop.asked


@pytest.mark.parametrize("quantity", ["0", str(UNITS + 1), "100000"])
def test_an_amount_that_no_line_may_have_is_said_to_be_the_reason(shop, ordermill, quantity):
    said = ordermill("orders", "create", "--sku", f"MUG-RED:{quantity}")

    assert said.code == 2
    assert f"{quantity} is no quantity; of a line 1 to {UNITS} are ordered." in " ".join(
        said.err.replace("│", " ").split()
    )
    assert not shop.asked


def test_orders_are_listed_by_status(shop, ordermill):
    shop.orders = {f"ord_{n}": an_order(n, "usr_1", []) for n in (1, 2)}
    shop.orders["ord_2"]["status"] = "confirmed"

    said = ordermill("orders", "list", "--status", "confirmed")

    assert [line.split() for line in said.out.splitlines()] == [
        ["id", "number", "status", "payment", "fulfilment", "total", "created_at"],
        ["ord_2", "N-2", "confirmed", "pending", "unfulfilled", "0.00", "EUR", AT],
    ]


def test_an_order_is_shown_with_what_went_wrong_and_what_went_back(shop, ordermill):
    shop.orders["ord_1"] = {
        **an_order(1, "usr_1", []), "failure": {"code": "card_declined", "message": "Try another card."},
        "refunded_total": euros(1299), "course": [],
    }  # fmt: skip

    said = ordermill("orders", "show", "ord_1")

    assert "failure       card_declined: Try another card.\n" in said.out
    assert "refunded      12.99 EUR\n" in said.out


def test_an_order_that_is_not_there_is_told(shop, ordermill):
    said = ordermill("orders", "show", "ord_9")

    assert said.code == Exit.FAILED
    assert said.err == (
        "Not found: There is no such order.\n"
        "→ Find what there is with: ordermill orders list, or ordermill stock list\n"
    )  # fmt: skip


def test_staff_cancels_an_order(shop, ordermill):
    placed = ordermill("orders", "create", "--sku", "MUG-RED", "-o", "json").json

    said = ordermill("orders", "cancel", placed["id"], "-o", "json")

    assert (said.json["status"], said.json["cancel_reason"]) == ("cancelling", "operator")


def test_a_terminal_shows_that_something_takes_its_time(shop, ordermill, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")

    said = ordermill("orders", "create", "--sku", "MUG-RED", "-o", "json")

    assert "placing the order" in said.err
    assert said.json["id"] == "ord_1"


@pytest.fixture
def numbered(shop):
    """More orders than a page; the last of them all has a number as real ones have."""
    for index in range(150):
        order = an_order(index, "usr_1", [{"sku": "MUG-RED", "quantity": 2}])
        shop.orders[order["id"]] = {**order, "course": []}
    shop.orders["ord_149"]["number"] = "MDEAC-VS501"
    return shop


@pytest.mark.parametrize("number", ["MDEAC-VS501", "mdeac-vs501", "MDEAC-VS5OL"])
@pytest.mark.parametrize("command", ["show", "trace", "cancel"])
def test_an_order_is_found_by_the_number_that_people_see(numbered, ordermill, command, number):
    said = ordermill("orders", command, number, "-o", "json")

    assert said.json.get("order", said.json)["id"] == "ord_149"


def test_who_asks_for_a_number_that_no_new_order_has_is_told_how_to_find_the_id(numbered, ordermill):
    said = ordermill("orders", "show", "AAAAA-AAAAA")

    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("None of the newest 1000 orders has the number AAAAA-AAAAA.")
    assert "ordermill orders list --customer ID" in said.err


def test_an_id_is_asked_for_at_once(numbered, ordermill):
    ordermill("orders", "show", "ord_149")

    assert numbered.asked["GET /orders"] == 0


def at(second):
    return f"2026-01-02T03:04:{5 + second:02}.000Z"


def a_step(second, before, after, cause):
    return {
        "at": at(second), "actor": "inventory_service", "cause": cause, "from": before, "to": after,
        "payment_status": "pending",
    }  # fmt: skip


def a_reservation(status, *shipments):
    hold = {"sku": "MUG-RED", "quantity": 2, "warehouse": "main"}
    return {
        "status": status, "created_at": at(1), "updated_at": at(6), "holds": [] if status == "rejected" else [hold],
        "shipments": list(shipments),
    }  # fmt: skip


def an_attempt(number, status, settled_at=None, failure=None):
    return {
        "attempt": number, "status": status, "settled_at": settled_at, "failure": failure and {"code": failure},
        "provider_reference": None if failure else "ch_1",
    }  # fmt: skip


def a_payment(*attempts, amount=None, contradictions=()):
    return {
        "id": "pay_1", "amount": amount, "created_at": at(3), "updated_at": at(9), "attempts": list(attempts),
        "contradictions": list(contradictions),
    }  # fmt: skip


def a_refund(status, settled_at=None, code=None):
    return {
        "id": "rfd_1", "reason": "cancelled", "requested_at": at(7), "settled_at": settled_at, "status": status,
        "amount": euros(2598), "failure_code": code,
    }  # fmt: skip


def a_task(status, completed_at=None, kind="fulfil"):
    return {
        "id": "tsk_1", "kind": kind, "title": "Ship order N-1", "status": status, "created_at": at(5),
        "updated_at": at(6), "completed_at": completed_at,
    }  # fmt: skip


def a_mail(status, sent_at=None, reason=None):
    return {
        "template": "order_confirmed", "status": status, "created_at": at(8), "sent_at": sent_at, "reason": reason,
    }  # fmt: skip


def told(ordermill):
    said = ordermill("orders", "trace", "ord_1", "-o", "json")
    return [(step["at"][17:19], step["service"].removesuffix("_service"), step["what"], step["detail"])
            for step in said.json["timeline"]]  # fmt: skip


@pytest.fixture
def lists(shop):
    shop.orders["ord_1"] = {**an_order(1, "usr_1", [{"sku": "MUG-RED", "quantity": 2}]), "course": []}
    return shop.lists


def test_the_story_of_an_order_is_one_timeline_over_all_services(lists, ordermill):
    lists["/orders/ord_1/events"] = [
        a_step(0, None, "pending", "place_order"), a_step(2, "pending", "awaiting_payment", "stock.reserved"),
    ]  # fmt: skip
    lists["/reservations"] = [a_reservation("released")]
    lists["/payments"] = [
        a_payment(
            an_attempt(1, "failed", at(4), "card_declined"), an_attempt(2, "succeeded", at(5)), amount=euros(2598)
        )
    ]
    lists["/payments/pay_1/refunds"] = [a_refund("succeeded", at(8))]
    lists["/tasks"] = [a_task("cancelled")]
    lists["/notifications"] = [a_mail("sent", at(9))]

    assert told(ordermill) == [
        ("05", "order", "order pending", "place_order, inventory_service; pending"),
        ("06", "inventory", "stock held", "2 × MUG-RED in main"),
        ("07", "order", "pending → awaiting_payment", "stock.reserved, inventory_service; pending"),
        ("08", "payment", "payment opened", "pay_1 25.98 EUR"),
        ("09", "payment", "attempt 1 failed", "card_declined"),
        ("10", "inventory", "stock committed", ""),
        ("10", "inventory", "task opened", "tsk_1 Ship order N-1"),
        ("10", "payment", "attempt 2 succeeded", "ch_1"),
        ("11", "inventory", "stock released", ""),
        ("11", "inventory", "task cancelled", "tsk_1"),
        ("12", "payment", "refund requested", "rfd_1 cancelled"),
        ("13", "payment", "refund succeeded", "25.98 EUR"),
        ("13", "notification", "mail queued", "order_confirmed"),
        ("14", "notification", "mail sent", "order_confirmed"),
    ]


def test_the_story_of_a_shipped_order_has_its_shipments(lists, ordermill):
    sent = {"id": "shp_1", "carrier": "DHL", "tracking": "123", "dispatched_at": at(7), "delivered_at": None}
    arrived = {"id": "shp_2", "carrier": None, "tracking": None, "dispatched_at": at(6), "delivered_at": at(8)}
    lists["/reservations"] = [a_reservation("consumed", sent, arrived)]
    lists["/tasks"] = [a_task("completed", at(7))]

    assert told(ordermill) == [
        ("06", "inventory", "stock held", "2 × MUG-RED in main"),
        ("10", "inventory", "stock committed", ""),
        ("10", "inventory", "task opened", "tsk_1 Ship order N-1"),
        ("11", "inventory", "shipment dispatched", "shp_2"),
        ("12", "inventory", "stock consumed", ""),
        ("12", "inventory", "shipment dispatched", "shp_1 DHL 123"),
        ("12", "inventory", "task completed", "tsk_1"),
        ("13", "inventory", "shipment delivered", "shp_2"),
    ]


@pytest.mark.parametrize(("kind", "committed"), [("fulfil", 1), ("manual", 0), ("check", 0)])
def test_stock_is_committed_by_the_tasks_that_ship_it_and_by_no_others(lists, ordermill, kind, committed):
    lists["/reservations"] = [a_reservation("held")]
    lists["/tasks"] = [a_task("pending", kind=kind)]

    assert [step[2] for step in told(ordermill)].count("stock committed") == committed


def test_the_story_tells_what_is_not_settled(lists, ordermill):
    against = {"provider": "simulated", "type": "payment.failed", "received_at": at(10)}
    lists["/reservations"] = [a_reservation("rejected")]
    lists["/payments"] = [a_payment({**an_attempt(1, "unknown"), "provider_reference": None}, contradictions=[against])]
    lists["/payments/pay_1/refunds"] = [a_refund("requested")]
    lists["/notifications"] = [a_mail("dead", reason="no_address"), a_mail("waiting")]

    assert told(ordermill) == [
        ("06", "inventory", "stock rejected", ""),
        ("08", "payment", "payment opened", "pay_1"),
        ("12", "payment", "refund requested", "rfd_1 cancelled"),
        ("13", "notification", "mail queued", "order_confirmed is dead no_address"),
        ("13", "notification", "mail queued", "order_confirmed is waiting"),
        ("14", "payment", "attempt 1 unknown", ""),
        ("15", "payment", "webhook contradicts", "simulated payment.failed"),
    ]


def test_the_story_is_shown_with_the_time_since_the_order_was_placed(lists, ordermill):
    lists["/orders/ord_1/events"] = [a_step(2, "pending", "awaiting_payment", "stock.reserved")]

    said = ordermill("orders", "trace", "ord_1")

    order, timeline = said.out.split("\n\n")
    assert order.startswith("id            ord_1\nnumber        N-1\n")
    assert timeline.splitlines()[0].split() == ["at", "after", "service", "what", "detail"]
    assert timeline.splitlines()[1].split(maxsplit=4)[:4] == [at(2), "+2.000", "s", "order_service"]
