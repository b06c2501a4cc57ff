import re

import pytest

from contracts.types import CancelReason, RejectReason
from notification_service.domain.notification import write
from notification_service.rendering import line_total, money, render
from tests.support.notification_service import (
    EVENT,
    NOTIFICATION,
    NOW,
    a_notification,
    euro,
    mails_to_customers,
    mails_to_staff,
    order_cancelled,
    order_confirmed,
    order_rejected,
    payment_failed,
    refund_failed,
    shipment_dispatched,
)

ORDER_NUMBER = "00000-0000A"


def mail(fact, name="Jane", **given):
    notification = write(fact, None, notification_id=NOTIFICATION, event_id=EVENT, now=NOW, **given)
    return render(notification, address="jane@example.org", name=name, shop="Ordermill", domain="ordermill.example")


@pytest.mark.parametrize("fact", [*mails_to_customers(), *mails_to_staff()], ids=lambda fact: fact.topic)
def test_every_mail_has_a_subject_of_one_line_a_text_and_a_page_for_light_and_dark(fact):
    rendered = mail(fact)

    assert rendered.subject
    assert "\n" not in rendered.subject
    assert "Ordermill" in rendered.text
    assert not re.search(r"[{}]{2}|\n\n\n|None", rendered.text)
    assert '<meta name="color-scheme" content="light dark">' in rendered.html
    assert not re.search(r"{{|}}|None|<script|src=|http", rendered.html)


def test_a_confirmation_names_the_order_its_lines_and_the_total():
    rendered = mail(order_confirmed())

    assert rendered.subject == f"Your order {ORDER_NUMBER} is confirmed"
    assert rendered.text == (
        "Hello Jane,\n\n"
        "Thank you for your order. It is paid, and everything is reserved for you.\n\n"
        "2 × Red mug <large> (MUG-RED): 25.98 EUR\n\n"
        "Total: 25.98 EUR\n\n"
        "We write again when it leaves our warehouse.\n\n"
        "--\nOrdermill\n"
        f"Order {ORDER_NUMBER} (ord_01je000000e00800000000000a)\n"
    )
    assert '<td>Red mug &lt;large&gt;</td><td class="number">2</td><td class="number">25.98 EUR</td>' in rendered.html


def test_what_came_from_outside_is_escaped_in_the_page():
    rendered = mail(payment_failed(message="<b>No</b>"), name="<i>Jane</i>")

    assert "&lt;b&gt;No&lt;/b&gt;" in rendered.html
    assert "&lt;i&gt;Jane&lt;/i&gt;" in rendered.html


def test_a_customer_without_a_name_is_greeted_without_one():
    assert mail(order_confirmed(), name=None).text.startswith("Hello,\n")


@pytest.mark.parametrize("reason", CancelReason)
def test_a_cancellation_says_why_and_that_nothing_is_charged(reason):
    rendered = mail(order_cancelled(reason=reason))

    assert "Your order is cancelled" in rendered.text
    assert "You hold no charge for it." in rendered.text


def test_a_cancellation_after_payment_says_how_much_went_back():
    rendered = mail(order_cancelled(refunded=euro(2598)))

    assert "25.98 EUR" in rendered.text
    assert "25.98 EUR" in rendered.html
    assert "no charge" not in rendered.text


@pytest.mark.parametrize("reason", RejectReason)
def test_a_rejection_says_what_was_missing(reason):
    rendered = mail(order_rejected(reason=reason))

    assert "MUG-RED: 2 ordered, 1 available" in rendered.text
    assert "Nothing was charged." in rendered.text


def test_a_shipment_without_carrier_and_tracking_names_neither():
    rendered = mail(shipment_dispatched(carrier=None, tracking=None))

    assert "2 × MUG-RED" in rendered.text
    assert "Carrier" not in rendered.text
    assert "Tracking" not in rendered.html


def test_a_mail_to_staff_greets_nobody_and_shows_ids_as_the_api_does():
    rendered = mail(refund_failed(), name=None)

    assert "Hello" not in rendered.text
    assert "rfd_01je000000e00800000000000e" in rendered.text
    assert "staff of Ordermill" in rendered.html


def test_the_message_id_is_derived_from_the_event_and_new_only_when_it_is_sent_again_on_request():
    def message_id(**given):
        notification = a_notification(**given)
        return render(notification, address="a@b.example", name=None, shop="S", domain="s.example").message_id

    assert message_id() == message_id(attempts=5) == "<ntf_01je000000e00800000000007z@s.example>"
    assert message_id(resent=2) == "<ntf_01je000000e00800000000007z.2@s.example>"


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (1299, "EUR", "12.99 EUR"),
        (5, "USD", "0.05 USD"),
        (123456789, "EUR", "1,234,567.89 EUR"),
        (1299, "JPY", "1,299 JPY"),
        (1299, "KWD", "1.299 KWD"),
    ],
)
def test_money_is_shown_with_the_decimals_of_its_currency(amount, currency, shown):
    assert money({"amount": amount, "currency": currency}) == shown


def test_a_line_costs_its_quantity_times_its_price():
    line = {"quantity": 3, "unit_price": {"amount": 1299, "currency": "EUR"}}

    assert line_total(line) == {"amount": 3897, "currency": "EUR"}


def test_a_name_is_one_line_whatever_its_owner_calls_it():
    rendered = mail(order_confirmed(), name="Eve\r\n\r\nYour account is locked:\u2028call us")

    assert rendered.text.splitlines()[0] == "Hello Eve Your account is locked: call us,"
