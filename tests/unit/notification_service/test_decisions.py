from dataclasses import replace

import pytest

from chassis.decisions import Decision, State
from contracts.accounts import UserErased, UserRegistered
from notification_service.domain.mails import Template
from notification_service.domain.notification import (
    NoSuchNotification,
    Notification,
    RecordFailure,
    RecordSent,
    ResendNotification,
    Status,
)
from notification_service.domain.reader import Erasure, Reader, SetPreferences
from notification_service.handlers import decisions
from tests.support.notification_service import (
    CUSTOMER,
    NOTIFICATION,
    a_cause,
    a_notification,
    a_reader,
    order_confirmed,
    stock_low,
)


def decide(item, *things, cause=None) -> Decision:
    rule = decisions.rules[type(item)]
    cause, known = cause or a_cause(), {(type(thing), thing.key): thing for thing in things}
    keys = (*rule.names(item), *(rule.makes(item, cause) if rule.makes else ()))
    return rule.decide(State({key: known.get(key) for key in keys}), item, cause)


def test_the_same_event_always_writes_the_notification_with_the_same_id():
    first = decide(order_confirmed(), a_reader()).changes
    second = decide(order_confirmed()).changes

    assert first == second
    assert first[0].id == a_cause().derive("order_confirmed", CUSTOMER)
    assert first[0].event_id == a_cause().id


def test_a_mail_to_staff_needs_no_reader():
    (notification,) = decide(stock_low()).changes

    assert notification.recipient == "staff"


def test_an_outcome_is_recorded_once():
    notification = a_notification(status=Status.SENDING, attempts=1)
    outcome = RecordSent(notification_id=NOTIFICATION, attempt=1, address="jane@example.org")

    first = decide(outcome, notification)
    second = decide(outcome, *first.changes)

    assert first.reply.status is Status.SENT
    assert first.sequence == 2
    assert second == Decision(ignored="lease lost")


def test_a_dead_mail_is_told():
    notification = a_notification(status=Status.SENDING, attempts=1)

    decision = decide(RecordFailure(notification_id=NOTIFICATION, attempt=1, reason="smtp_550"), notification)

    assert [event.topic for event in decision.events] == ["notification.dead"]


def test_the_outcome_of_an_unknown_notification_is_ignored():
    decision = decide(RecordFailure(notification_id=NOTIFICATION, attempt=1, reason="smtp_550"))

    assert decision == Decision(ignored="unknown notification")


def test_a_resent_notification_is_queued_and_answered():
    decision = decide(ResendNotification(notification_id=NOTIFICATION), a_notification(status=Status.DEAD))

    assert decision.changes == (decision.reply,)
    assert decision.reply.status is Status.QUEUED


def test_what_does_not_exist_cannot_be_sent_again():
    with pytest.raises(NoSuchNotification):
        decide(ResendNotification(notification_id=NOTIFICATION))


def registered(locale="en"):
    return UserRegistered(user_id=CUSTOMER, locale=locale)


def erased():
    return UserErased(user_id=CUSTOMER, locale="en")


def test_a_registered_user_is_remembered_once():
    first = decide(registered())
    second = decide(registered(), *first.changes)

    assert first.changes == (Reader(user_id=CUSTOMER, locale="en"),)
    assert second == Decision(ignored="known already")


def test_a_user_who_set_preferences_first_is_given_the_locale_afterwards():
    early = a_reader(locale=None, opted_out=frozenset({Template.PAYMENT_FAILED}))

    assert decide(registered("de"), early).changes == (replace(early, locale="de", version=2),)


def test_an_erased_user_is_overwritten_everywhere_once():
    first = decide(erased(), a_reader(opted_out=frozenset({Template.PAYMENT_FAILED})))
    second = decide(erased(), first.changes[0])

    assert first.changes == (
        Reader(user_id=CUSTOMER, erased=True, version=2),
        Erasure(user_id=CUSTOMER),
    )
    assert second == Decision(ignored="erased already")
    assert first.changes[1].key == CUSTOMER


def test_an_erasure_that_comes_before_the_registration_leaves_a_tombstone():
    (tombstone, _) = decide(erased()).changes

    assert tombstone == Reader(user_id=CUSTOMER, erased=True, version=1)
    assert decide(registered(), tombstone) == Decision(ignored="known already")


def test_preferences_replace_each_other():
    wish = SetPreferences(user_id=CUSTOMER, opted_out=frozenset({Template.ORDER_CONFIRMED}))

    first = decide(wish)
    second = decide(wish, *first.changes)
    third = decide(replace(wish, opted_out=frozenset()), *first.changes)

    assert first.changes == (Reader(user_id=CUSTOMER, opted_out=wish.opted_out),)
    assert (second.changes, second.reply) == ((), first.reply)
    assert third.changes == (Reader(user_id=CUSTOMER, version=2),)


def test_an_erased_user_has_no_preferences():
    tombstone = a_reader(erased=True, locale=None)

    decision = decide(SetPreferences(user_id=CUSTOMER, opted_out=frozenset({Template.ORDER_CONFIRMED})), tombstone)

    assert (decision.changes, decision.reply) == ((), tombstone)


def test_things_are_known_by_their_ids():
    assert (a_notification().key, a_reader().key) == (NOTIFICATION, CUSTOMER)
    assert {row for rule in (decisions.rules[RecordSent],) for row in rule.names(_sent())} == {
        (Notification, NOTIFICATION)
    }


def _sent():
    return RecordSent(notification_id=NOTIFICATION, attempt=1, address="jane@example.org")
