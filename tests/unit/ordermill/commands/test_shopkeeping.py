"""`users list`, `stock` and `payments`: lists for people and programs, and putting a shelf right."""

import pytest

from notification_service import rendering
from ordermill import tables
from ordermill.errors import Exit
from ordermill.output import Form
from tests.support.small_shop import AT, euros


def a_user(number, role="customer"):
    return {
        "id": f"usr_{number}", "email": f"u{number}@x.example", "role": role, "full_name": None, "disabled": False,
        "created_at": AT,
    }  # fmt: skip


def a_shelf(sku, available, *, low=False):
    level = {"warehouse": "main", "available": available, "low": low}
    return {"sku": sku, "on_hand": available, "reserved": 0, "available": available, "warehouses": [level], "low": low}


def a_payment(number, failure=None):
    return {
        "id": f"pay_{number}", "order_id": f"ord_{number}", "status": "failed" if failure else "captured",
        "captured_total": euros(0 if failure else 129900), "refunded_total": None, "attempt": 1,
        "failure": failure, "unresolved": False, "created_at": AT,
    }  # fmt: skip


def test_users_are_listed_for_people_without_cutting_anything(shop, ordermill):
    shop.lists["/users"] = [{**a_user(1), "email": f"{'long' * 40}@x.example", "full_name": "Ann [bold]"}]

    said = ordermill("users", "list")

    heading, user = said.out.splitlines()
    assert heading.split() == ["id", "email", "role", "full_name", "disabled", "created_at"]
    assert user.split() == ["usr_1", f"{'long' * 40}@x.example", "customer", "Ann", "[bold]", "false", AT]


def test_a_list_is_followed_over_its_pages_up_to_the_limit(shop, ordermill):
    shop.lists["/users"] = [a_user(number) for number in range(250)]

    said = ordermill("users", "list", "--limit", "230", "-o", "json")

    assert [user["id"] for user in said.json] == [f"usr_{number}" for number in range(230)]
    assert shop.asked["GET /users"] == 3


def test_users_are_listed_by_role(shop, ordermill):
    shop.lists["/users"] = [a_user(1), a_user(2, "staff"), a_user(3, "admin")]

    said = ordermill("users", "list", "--role", "staff", "--role", "admin", "-o", "json")

    assert [user["id"] for user in said.json] == ["usr_2", "usr_3"]


def test_stock_is_listed_with_its_warehouses(shop, ordermill):
    shop.lists["/stock"] = [a_shelf("MUG-RED", 100), a_shelf("CAP-RED", 2, low=True)]

    said = ordermill("stock", "list")

    assert [line.split() for line in said.out.splitlines()] == [
        ["sku", "on_hand", "reserved", "available", "warehouses", "low"],
        ["MUG-RED", "100", "0", "100", "main:100"],
        ["CAP-RED", "2", "0", "2", "main:2", "main"],
    ]


def test_stock_that_has_run_low_is_listed_alone(shop, ordermill):
    shop.lists["/stock"] = [{**a_shelf("MUG-RED", 100), "low": "false"}, {**a_shelf("CAP-RED", 2), "low": "true"}]

    said = ordermill("stock", "list", "--low", "-o", "json")

    assert [shelf["sku"] for shelf in said.json] == ["CAP-RED"]


def test_a_shelf_is_adjusted_down_as_well_as_up(shop, ordermill):
    up = ordermill("stock", "adjust", "MUG-RED", "50", "--reason", "received")
    down = ordermill("stock", "adjust", "MUG-RED", "-30", "--warehouse", "north", "-o", "json")

    assert shop.stock["MUG-RED"] == 120
    assert [line.split() for line in up.out.splitlines()] == [
        ["id", "mov_1"], ["sku", "MUG-RED"], ["warehouse", "main"], ["kind", "adjust"], ["delta", "50"],
        ["reserved_delta", "0"], ["reason", "received"], ["actor", "usr_1"], ["created_at", AT],
    ]  # fmt: skip
    assert (down.json["delta"], down.json["reason"], down.json["warehouse"]) == (-30, "correction", "north")


def test_an_unknown_option_of_adjust_is_still_refused(shop, ordermill):
    said = ordermill("stock", "adjust", "MUG-RED", "5", "--because", "x")

    assert said.code == 2
    assert shop.stock["MUG-RED"] == 100


def test_payments_are_listed_with_their_money(shop, ordermill):
    shop.lists["/payments"] = [a_payment(1), a_payment(2, {"code": "card_declined"})]

    said = ordermill("payments", "list")

    assert [line.split() for line in said.out.splitlines()[1:]] == [
        ["pay_1", "ord_1", "captured", "1,299.00", "EUR", "1", "false", AT],
        ["pay_2", "ord_2", "failed", "0.00", "EUR", "1", "card_declined", "false", AT],
    ]


def test_payments_are_listed_by_status(shop, ordermill):
    shop.lists["/payments"] = [a_payment(1), a_payment(2, {"code": "card_declined"})]

    said = ordermill("payments", "list", "--status", "failed", "-o", "json")

    assert [payment["id"] for payment in said.json] == ["pay_2"]


def test_test_tokens_are_listed_for_anybody(shop, ordermill):
    token = {"token": "tok_ok", "outcome": "captured", "code": None, "description": "Is charged."}
    shop.lists["/payments/test-tokens"] = [token]

    table, data = ordermill("payments", "tokens"), ordermill("payments", "tokens", "-o", "json")

    assert table.out.splitlines()[1].split() == ["tok_ok", "captured", "Is", "charged."]
    assert data.json == [token]
    assert shop.asked["POST /auth/login"] == 0


@pytest.mark.parametrize("currency", ["EUR", *rendering._DECIMALS])
def test_money_is_written_as_in_the_mails(currency):
    value = {"amount": 1234567, "currency": currency}

    assert tables.money(value) == rendering.money(value)


def test_no_fields_are_shown_for_what_is_empty(capsys):
    tables.show_one(Form.TABLE, {"a": None, "b": 0}, {"a": "a", "b": "b"})

    assert capsys.readouterr().out == "b  0\n"


def test_a_group_without_a_command_shows_what_there_is(ordermill):
    said = ordermill("stock")

    assert said.code == 2
    assert "adjust" in said.out + said.err


def test_the_exit_codes_of_troubles_are_those_of_the_command_line(shop, ordermill):
    shop.broken = ["unavailable", "upstream_timeout", "internal_error"]

    said = [ordermill("orders", "create", "--sku", "MUG-RED") for _ in range(3)]

    assert [each.code for each in said] == [Exit.UNHEALTHY, Exit.TIMED_OUT, Exit.FAILED]
    assert said[0].err == "Not available now: unavailable\n→ See what is not ready with: ordermill ps\n"
    assert "(req_1)" in said[2].err


def test_what_customers_call_themselves_writes_no_row_and_moves_no_cursor(capsys):
    named = {"name": "Ann\n\x1b[2J\x9b31m[bold]", "id": "usr_1"}

    tables.show(Form.TABLE, [named], {"id": "id", "name": "name"}, "people")
    tables.show_one(Form.TABLE, named, {"name": "name"})

    shown = r"Ann\x0a\x1b[2J\x9b31m[bold]"
    assert capsys.readouterr().out.split() == ["id", "name", "usr_1", shown, "name", shown]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["users", "list", "--role", "admin", "--role", "staff"], "accounts (role admin or staff)"),
        (["stock", "list", "--low"], "products that have run low"),
        (["stock", "list"], "products with stock"),
        (["payments", "list", "--order", "ord_1", "--status", "failed"], "payments (order ord_1, status failed)"),
        (["orders", "list", "--customer", "usr_1"], "orders (customer usr_1)"),
        (["orders", "list"], "orders"),
    ],
)
def test_who_finds_nothing_is_told_what_was_looked_for(shop, ordermill, words, said):
    table, data = ordermill(*words), ordermill(*words, "-o", "json")

    assert table == (0, "", f"there are no {said}\n")
    assert data == (0, "[]\n", "")
