from datetime import timedelta

import pytest

from contracts.catalogue import EVENTS
from notification_service.domain.mails import MAX_AGES, TEMPLATES, Template
from notification_service.domain.notification import Status, write
from notification_service.handlers import decisions
from tests.support.notification_service import (
    CUSTOMER,
    EVENT,
    NOTIFICATION,
    NOW,
    ORDER,
    a_reader,
    mails_to_customers,
    mails_to_staff,
    order_confirmed,
    order_rejected,
    stock_low,
)


def written(fact, reader=None):
    return write(fact, reader, notification_id=NOTIFICATION, event_id=EVENT, now=NOW)


@pytest.mark.parametrize("fact", mails_to_customers(), ids=lambda fact: fact.topic)
def test_a_fact_about_an_order_becomes_one_queued_mail_to_its_customer(fact):
    notification = written(fact, a_reader())

    assert notification.template == Template(fact.topic.replace(".", "_"))
    assert notification.status is Status.QUEUED
    assert notification.user_id == CUSTOMER
    assert notification.recipient == str(CUSTOMER)
    assert notification.order_id == ORDER
    assert notification.due_at == NOW
    assert notification.address is None


@pytest.mark.parametrize("fact", mails_to_staff(), ids=lambda fact: fact.topic)
def test_what_a_person_has_to_look_at_becomes_a_mail_to_staff_that_belongs_to_no_user(fact):
    notification = written(fact)

    assert notification.template == Template(fact.topic.replace(".", "_"))
    assert notification.status is Status.QUEUED
    assert notification.recipient == "staff"
    assert notification.user_id is None


def test_a_mail_about_stock_is_about_no_order():
    assert written(stock_low()).order_id is None


def test_the_mail_keeps_what_the_event_said_but_not_whom_it_is_about():
    notification = written(order_rejected())

    assert notification.data == {
        "order_id": str(ORDER),
        "reason": "insufficient_stock",
        "missing": [{"sku": "MUG-RED", "requested": 2, "available": 1}],
    }


def test_a_customer_who_opted_out_of_a_mail_gets_the_others_only():
    reader = a_reader(opted_out=frozenset({Template.ORDER_CONFIRMED}))

    suppressed = written(order_confirmed(), reader)
    queued = written(order_rejected(), reader)

    assert (suppressed.status, suppressed.reason) == (Status.SUPPRESSED, "opted_out")
    assert (queued.status, queued.reason) == (Status.QUEUED, None)


def test_nothing_is_kept_of_an_erased_customer():
    notification = written(order_confirmed(), a_reader(erased=True))

    assert (notification.status, notification.reason) == (Status.SUPPRESSED, "user_erased")
    assert (notification.recipient, notification.user_id, notification.data) == ("erased", None, {})


def test_exactly_the_events_of_the_list_of_mails_become_mails_and_two_more_are_listened_to():
    listened = {EVENTS[topic] for topic in decisions.topics}

    assert {event.topic for event in listened - set(TEMPLATES)} == {"user.erased", "user.registered"}
    assert set(TEMPLATES) <= listened
    assert sorted(TEMPLATES.values()) == sorted(Template)


def test_a_mail_about_a_failed_payment_is_worth_sending_for_half_an_hour_and_every_mail_has_an_age():
    assert MAX_AGES[Template.PAYMENT_FAILED] == timedelta(minutes=30)
    assert MAX_AGES[Template.ORDER_CONFIRMED] == timedelta(days=3)
    assert MAX_AGES[Template.STOCK_LOW] == timedelta(days=1)
    assert set(MAX_AGES) == set(Template)
