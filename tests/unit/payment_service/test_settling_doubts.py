"""What a person settles, and what the provider tells by itself."""

from dataclasses import replace
from datetime import timedelta

import pytest

from payment_service.domain.notice import NoticeStatus, ReceiveNotice
from payment_service.domain.payment import Answer, Held, Outcome, PaymentStatus, RefundStatus
from payment_service.domain.resolution import (
    BooksContradict,
    BooksSilent,
    BooksUnread,
    PaymentNotResolvable,
    Resolution,
    Resolved,
    in_question,
)
from tests.support.payment_service import (
    DENIED,
    DONE,
    NOW,
    ORDER,
    SILENT,
    a_captured_payment,
    a_desk,
    asked,
    cancelled,
    euro,
    give_back,
)

OTHER_MONEY = [Held(1, "EUR"), Held(2599, "EUR"), Held(2598, "USD")]


def a_charge_in_doubt():
    desk = a_desk(asked(), answer=SILENT)
    return desk, in_question(desk.payment).call.key


def a_refused_reversal():
    desk = a_captured_payment()
    desk.hears(give_back())
    desk.refund_answered(DENIED)
    return desk, in_question(desk.payment).call.key


@pytest.mark.parametrize(
    ("outcome", "books", "became"),
    [
        (Resolution.CAPTURED, DONE, PaymentStatus.CAPTURED),
        (Resolution.DECLINED, DENIED, PaymentStatus.FAILED),
    ],
)
def test_a_person_settles_a_charge_as_the_books_have_it(outcome, books, became):
    desk, key = a_charge_in_doubt()

    decision = desk.resolved(outcome, books, key)

    [audit] = [thing for thing in decision.changes if isinstance(thing, Resolved)]
    assert desk.payment.status is became
    assert (audit.actor, audit.outcome, audit.evidence) == ("usr_staff", outcome, "the provider's mail")
    assert audit.books == books.outcome
    assert (audit.key, audit.call_key) == (audit.id, key)


@pytest.mark.parametrize(
    ("outcome", "books", "refusal"),
    [
        (Resolution.CAPTURED, DENIED, BooksContradict),
        (Resolution.CAPTURED, None, BooksSilent),
        (Resolution.DECLINED, None, BooksSilent),
        (Resolution.DECLINED, DONE, BooksContradict),
        (Resolution.CAPTURED, SILENT, BooksUnread),
        (Resolution.RETURNED, DONE, PaymentNotResolvable),
        (Resolution.RETRY, None, PaymentNotResolvable),
    ],
)
def test_nobody_settles_a_charge_against_the_books(outcome, books, refusal):
    desk, key = a_charge_in_doubt()

    with pytest.raises(refusal):
        desk.resolved(outcome, books, key)

    assert desk.payment.status is PaymentStatus.UNKNOWN


@pytest.mark.parametrize("held", OTHER_MONEY)
@pytest.mark.parametrize(("outcome", "books"), [(Resolution.CAPTURED, DONE), (Resolution.DECLINED, DENIED)])
def test_nobody_settles_a_charge_with_what_the_books_say_of_other_money(outcome, books, held):
    desk, key = a_charge_in_doubt()

    with pytest.raises(BooksContradict):
        desk.resolved(outcome, replace(books, held=held), key)


def test_silent_books_are_no_decline_since_the_call_may_land_later():
    desk, key = a_charge_in_doubt()

    with pytest.raises(BooksSilent, match="The same key is repeated until the answer is definite"):
        desk.resolved(Resolution.DECLINED, None, key)
    desk.charge_answered(DONE)

    assert desk.payment.status is PaymentStatus.CAPTURED
    assert [event.topic for event in desk.told] == ["payment.succeeded"]


def test_only_doubts_are_settled():
    desk, key = a_charge_in_doubt()
    desk.charge_answered(DONE)

    with pytest.raises(PaymentNotResolvable):
        desk.resolved(Resolution.CAPTURED, DONE, key)
    with pytest.raises(PaymentNotResolvable):
        a_desk().resolved(Resolution.CAPTURED, DONE, key)


def test_what_was_asked_of_the_books_has_to_be_what_is_in_doubt():
    desk, _ = a_charge_in_doubt()

    with pytest.raises(PaymentNotResolvable):
        desk.resolved(Resolution.CAPTURED, DONE, "pay:other:1")


def test_a_reversal_that_the_provider_made_after_all_ends_the_payment():
    desk, key = a_refused_reversal()

    desk.resolved(Resolution.RETURNED, DONE, key)

    assert (desk.payment.status, desk.payment.refunded) == (PaymentStatus.REVERSED, 2598)
    assert [entry.money for entry in desk.booked] == [euro(2598)]


def test_a_reversal_that_the_books_refuse_is_not_returned():
    desk, key = a_refused_reversal()

    with pytest.raises(BooksContradict):
        desk.resolved(Resolution.RETURNED, DENIED, key)
    with pytest.raises(BooksSilent, match="sent again with the outcome retry"):
        desk.resolved(Resolution.RETURNED, None, key)


@pytest.mark.parametrize(("books", "noted"), [(DENIED, "denied"), (None, "silent")])
def test_a_refused_reversal_is_sent_again_under_a_new_key(books, noted):
    desk, key = a_refused_reversal()

    decision = desk.resolved(Resolution.RETRY, books, key)

    assert [thing.books for thing in decision.changes if isinstance(thing, Resolved)] == [noted]
    refused, again = desk.payment.refunds
    assert again.call.key not in {key, refused.call.key}
    assert (again.status, again.amount, desk.payment.refund_reserved) == (RefundStatus.REQUESTED, 2598, 2598)
    assert in_question(desk.payment) is None
    desk.refund_answered(DONE)
    assert desk.payment.status is PaymentStatus.REVERSED


def test_an_unknown_refund_is_settled_by_the_books_only():
    desk = a_captured_payment()
    desk.hears(give_back(euro(500)))
    desk.refund_answered(SILENT)
    key = in_question(desk.payment).call.key

    with pytest.raises(PaymentNotResolvable):
        desk.resolved(Resolution.RETRY, None, key)
    desk.resolved(Resolution.RETURNED, DONE, key)

    assert desk.payment.refunded == 500


def test_a_refused_part_waits_for_nobody_here():
    desk = a_captured_payment()
    desk.hears(give_back(euro(500)))
    desk.refund_answered(DENIED)

    assert in_question(desk.payment) is None


def test_a_notice_is_applied_like_any_answer():
    desk = a_desk(asked())

    desk.noticed(DONE, desk.payment.attempts[0].call.key)

    assert desk.payment.status is PaymentStatus.CAPTURED
    assert [event.topic for event in desk.told] == ["payment.succeeded"]
    assert (desk.notice.status, desk.notice.applied_at) == (NoticeStatus.APPLIED, NOW)


def test_a_notice_that_is_told_again_is_stored_once():
    desk = a_desk(asked())
    key = desk.payment.attempts[0].call.key
    desk.noticed(DONE, key)

    told_again = desk.noticed(DONE, key)

    assert told_again.ignored == "settled_before"
    assert desk.told == []


def test_a_notice_that_nobody_stored_is_ignored():
    assert a_desk().applies_notice().ignored == "settled_before"


@pytest.mark.parametrize("desk", [a_desk(), a_desk(cancelled()), a_desk(asked())])
def test_a_notice_ahead_of_its_payment_is_parked_and_retried(desk):
    decision = desk.noticed(DONE, "pay:other:1")

    parked = desk.notice
    assert decision.reply is parked
    assert (parked.status, parked.tries, parked.due_at) == (NoticeStatus.PARKED, 1, NOW + timedelta(seconds=1))
    for _ in range(20):
        desk.applies_notice()
    assert desk.notice.due_at == NOW + timedelta(minutes=5)


def test_a_parked_notice_is_applied_when_its_payment_is_there():
    desk = a_desk()
    ahead = a_desk(asked())
    desk.noticed(replace(DONE, held=Held(2598, "EUR")), ahead.payment.attempts[0].call.key)

    desk.things |= ahead.things
    desk.applies_notice()

    assert (desk.payment.status, desk.notice.status) == (PaymentStatus.CAPTURED, NoticeStatus.APPLIED)


@pytest.mark.parametrize(
    ("settled", "told"), [(DONE, DENIED), (DENIED, DONE), (DENIED, Answer(outcome=Outcome.DONE, reference="ch_2"))]
)
def test_a_notice_against_what_is_settled_is_kept_and_changes_nothing(settled, told):
    desk = a_desk(asked(), answer=settled)
    before = desk.payment

    decision = desk.noticed(told, before.attempts[0].call.key)

    assert decision.reply.status is NoticeStatus.CONTRADICTS
    assert desk.payment is before
    assert desk.told == []


@pytest.mark.parametrize("held", OTHER_MONEY)
@pytest.mark.parametrize("told", [DONE, DENIED])
def test_a_notice_of_other_money_is_kept_for_staff_and_changes_nothing(told, held):
    desk, key = a_charge_in_doubt()
    before = desk.payment

    decision = desk.noticed(replace(told, held=held), key)

    assert decision.reply.status is NoticeStatus.CONTRADICTS
    assert (desk.payment, desk.told) == (before, [])


def test_a_notice_of_a_refund_of_other_money_changes_nothing():
    desk = a_captured_payment()
    desk.hears(give_back(euro(500)))

    desk.noticed(replace(DONE, held=Held(2598, "EUR")), desk.payment.refunds[0].call.key)

    assert (desk.payment.refunded, desk.notice.status) == (0, NoticeStatus.CONTRADICTS)


def test_a_notice_that_does_not_say_how_much_is_no_answer():
    desk, key = a_charge_in_doubt()
    desk.hears(
        ReceiveNotice(provider="simulated", event_id="evt_1", type="x", order_id=ORDER, call_key=key, answer=DONE)
    )

    desk.applies_notice()

    assert (desk.payment.status, desk.notice.status) == (PaymentStatus.UNKNOWN, NoticeStatus.APPLIED)


def test_a_notice_about_a_refund_is_applied_too():
    desk = a_captured_payment()
    desk.hears(give_back(euro(500)))

    desk.noticed(DONE, desk.payment.refunds[0].call.key)

    assert (desk.payment.refunded, desk.notice.status) == (500, NoticeStatus.APPLIED)
