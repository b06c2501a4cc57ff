from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from contracts.notifications import NotificationDead
from notification_service.domain.notification import (
    NotResendable,
    RecordFailure,
    RecordSent,
    RecordSetback,
    Status,
    delay,
    is_stale,
    record,
    resend,
)
from tests.support.notification_service import NOTIFICATION, NOW, ORDER, a_notification

HOUR = timedelta(hours=1)
ADDRESS = "jane@example.org"


def sent(attempt=1):
    return RecordSent(notification_id=NOTIFICATION, attempt=attempt, address=ADDRESS)


def setback(attempt=1, max_age=HOUR):
    return RecordSetback(notification_id=NOTIFICATION, attempt=attempt, reason="smtp_451", jitter=0.0, max_age=max_age)


def failure(attempt=1):
    return RecordFailure(notification_id=NOTIFICATION, attempt=attempt, reason="smtp_550")


def sending(**given):
    return a_notification(**{"status": Status.SENDING, "attempts": 1, "version": 2} | given)


def test_a_mail_that_was_handed_over_is_sent_and_keeps_its_address():
    notification, events = record(sending(reason="smtp_451"), sent(), NOW)

    assert notification.status is Status.SENT
    assert notification.address == ADDRESS
    assert notification.sent_at == NOW
    assert notification.reason is None
    assert notification.version == 3
    assert events == ()


def test_a_mail_that_cannot_be_sent_now_waits():
    notification, events = record(sending(), setback(), NOW)

    assert notification.status is Status.WAITING
    assert notification.due_at == NOW + timedelta(seconds=2)
    assert notification.reason == "smtp_451"
    assert notification.version == 3
    assert events == ()


def test_a_mail_that_would_be_too_old_at_the_next_try_is_dead_and_staff_hear_of_it():
    notification, events = record(sending(), setback(max_age=timedelta(seconds=1)), NOW)

    assert notification.status is Status.DEAD
    assert notification.reason == "too_old: smtp_451"
    assert events == (NotificationDead(notification_id=NOTIFICATION, template="order_confirmed", order_id=ORDER),)


def test_a_mail_that_can_never_be_sent_is_dead_at_once():
    notification, events = record(sending(order_id=None), failure(), NOW)

    assert (notification.status, notification.reason) == (Status.DEAD, "smtp_550")
    assert events == (NotificationDead(notification_id=NOTIFICATION, template="order_confirmed", order_id=None),)


@pytest.mark.parametrize("outcome", [sent(), setback(), failure()], ids=lambda outcome: type(outcome).__name__)
def test_whoever_lost_the_lease_to_another_sender_changes_nothing(outcome):
    taken_over = sending(attempts=2)

    assert record(taken_over, outcome, NOW) == (taken_over, ())


@pytest.mark.parametrize(
    ("status", "outcome"),
    list(product([s for s in Status if s is not Status.SENDING], [sent(), setback(), failure()])),
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_only_what_is_being_sent_has_an_outcome(status, outcome):
    notification = sending(status=status)

    assert record(notification, outcome, NOW) == (notification, ())


@pytest.mark.parametrize(
    ("attempts", "jitter", "seconds"),
    [(1, 0.0, 2), (1, 1.0, 1), (4, 0.0, 16), (4, 0.5, 12), (9, 0.0, 512), (10, 0.0, 900), (5000, 1.0, 450)],
)
def test_the_pause_doubles_up_to_a_quarter_of_an_hour_and_jitter_takes_off_up_to_half(attempts, jitter, seconds):
    assert delay(attempts, jitter) == timedelta(seconds=seconds)


def test_a_mail_is_stale_once_it_is_older_than_its_age():
    assert not is_stale(a_notification(), HOUR, NOW + HOUR)
    assert is_stale(a_notification(), HOUR, NOW + HOUR + timedelta(microseconds=1))


@pytest.mark.parametrize("status", [Status.SENT, Status.DEAD])
def test_what_was_sent_or_given_up_can_be_sent_again_as_if_it_were_new(status):
    later = NOW + HOUR
    old = sending(status=status, attempts=7, reason="smtp_550", address=ADDRESS, sent_at=NOW, resent=1)

    again = resend(old, later)

    cleared = {"attempts": 0, "reason": None, "address": None, "sent_at": None}
    assert again == replace(old, status=Status.QUEUED, queued_at=later, due_at=later, resent=2, version=3, **cleared)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.SENDING, Status.WAITING, Status.SUPPRESSED])
def test_what_is_on_its_way_or_must_not_be_sent_cannot_be_sent_again(status):
    with pytest.raises(NotResendable):
        resend(a_notification(status=status), NOW)


def test_what_went_to_an_erased_user_cannot_be_sent_again():
    with pytest.raises(NotResendable):
        resend(a_notification(status=Status.SENT, recipient="erased", user_id=None), NOW)


def test_no_representation_shows_an_address():
    notification, _ = record(sending(), sent(), NOW)

    assert ADDRESS not in repr(notification)
    assert ADDRESS not in repr(sent())
