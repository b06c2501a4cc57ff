"""How a parked item is shown, whatever its body is."""

from datetime import UTC, datetime

import pytest

from chassis.dead_letters import Letter
from chassis.ids import new_id, typeid
from ordermill.letters import each

ORDER = new_id()


def a_letter(body):
    now = datetime.now(UTC)
    return Letter(new_id(), -1, "order.created", "s", body, 1, "parked", now, "ValueError()", False, now, "g")


def test_an_item_says_which_order_it_is_about():
    shown = each("order_service", a_letter(f'[{{"data": {{"order_id": "{ORDER}"}}}}]'))

    assert shown["order"] == typeid("ord", ORDER)
    assert shown["event"] == {"data": {"order_id": str(ORDER)}}


@pytest.mark.parametrize(
    "body",
    [
        '[{"data": "x"}]',
        '[{"data": null}]',
        '[{"data": {"order_id": 7}}]',
        '[{"data": {"order_id": "ord_1"}}]',
        '[{"data": {}}]',
        "[[[",
        "[" * 100_000,
    ],
)
def test_an_item_that_says_anything_is_shown_without_an_order(body):
    assert each("order_service", a_letter(body))["order"] is None
