"""Cancellations, reversals and refunds."""

from datetime import timedelta

import pytest

from contracts.payments import PaymentCancelled, PaymentUnresolved, RefundFailed, RefundSucceeded
from contracts.types import CancelPhase, Money, ReturnKind
from payment_service.domain.ledger import EntryKind
from payment_service.domain.payment import Answer, Outcome, PaymentStatus, RefundStatus
from tests.support.payment_service import (
    CUSTOMER,
    DENIED,
    DONE,
    NOW,
    ORDER,
    REFUND,
    SECOND_REFUND,
    SILENT,
    a_captured_payment,
    a_desk,
    asked,
    cancelled,
    euro,
    give_back,
)

NOTHING_TAKEN = PaymentCancelled(order_id=ORDER, kind=ReturnKind.NONE)
ALL_RETURNED = PaymentCancelled(order_id=ORDER, kind=ReturnKind.REFUND, returned=euro(2598))


def test_a_cancellation_that_comes_first_leaves_a_tombstone():
    desk = a_desk(cancelled())

    told = desk.told
    desk.hears(asked())

    assert told == [NOTHING_TAKEN]
    assert (desk.payment.status, desk.payment.attempts) == (PaymentStatus.CANCELLED, ())


@pytest.mark.parametrize("desk", [a_desk(asked(method=None)), a_desk(asked(), answer=DENIED)])
def test_a_payment_that_took_nothing_is_cancelled_at_once(desk):
    desk.hears(cancelled())

    assert desk.payment.status is PaymentStatus.CANCELLED
    assert desk.told == [NOTHING_TAKEN]


def test_a_charge_on_its_way_is_only_flagged():
    desk = a_desk(asked(), cancelled())

    again = desk.hears(cancelled())

    assert (desk.payment.status, desk.payment.cancel_flagged) == (PaymentStatus.PROCESSING, True)
    assert (again.ignored, desk.told) == ("nothing_to_do", [])


@pytest.mark.parametrize("trigger", [cancelled(), give_back()])
def test_a_captured_payment_goes_back_whole(trigger):
    desk = a_captured_payment()

    desk.hears(trigger)

    [refund] = desk.payment.refunds
    assert (desk.payment.status, refund.amount, refund.reverses) == (PaymentStatus.REVERSING, 2598, True)
    assert refund.call.key == f"ref:{refund.id}"
    assert desk.told == []


def test_the_orders_refund_id_is_the_key_of_the_reversal():
    desk = a_captured_payment()

    desk.hears(give_back())

    assert desk.payment.refunds[0].call.key == f"ref:{REFUND}"


def test_a_confirmed_reversal_ends_the_payment_and_is_entered():
    desk = a_captured_payment()
    desk.hears(give_back())

    desk.refund_answered(DONE)

    payment = desk.payment
    assert (payment.status, payment.refunded, payment.refund_reserved) == (PaymentStatus.REVERSED, 2598, 0)
    assert desk.told == [ALL_RETURNED]
    assert [(entry.kind, entry.money) for entry in desk.booked] == [(EntryKind.REFUND, euro(2598))]


@pytest.mark.parametrize("trigger", [cancelled(), give_back()])
def test_what_has_ended_says_so_again(trigger):
    nothing_taken = a_desk(cancelled())
    returned = a_captured_payment()
    returned.hears(give_back())
    returned.refund_answered(DONE)

    nothing_taken.hears(trigger)
    returned.hears(trigger)

    assert (nothing_taken.told, returned.told) == ([NOTHING_TAKEN], [ALL_RETURNED])
    assert (nothing_taken.payment.version, returned.payment.version) == (1, 4)


@pytest.mark.parametrize("trigger", [cancelled(), give_back(), give_back(euro(1))])
def test_a_payment_on_its_way_back_ignores_what_asks_for_more(trigger):
    desk = a_captured_payment()
    desk.hears(give_back())

    decision = desk.hears(trigger)

    assert (decision.ignored, len(desk.payment.refunds)) == ("nothing_to_do", 1)


@pytest.mark.parametrize("status", ["none", "captured", "failed"])
def test_a_cancellation_after_confirmation_is_the_warehouses_to_answer(status):
    desk = {"none": a_desk(), "captured": a_captured_payment(), "failed": a_desk(asked(), answer=DENIED)}[status]
    before = desk.payment

    decision = desk.hears(cancelled(CancelPhase.POST))

    assert (decision.ignored, desk.payment) == ("nothing_to_do", before)


@pytest.mark.parametrize("desk", [a_desk(), a_desk(asked()), a_desk(asked(), answer=DENIED)])
def test_nothing_goes_back_of_what_was_never_captured(desk):
    assert desk.hears(give_back()).ignored == "nothing_to_do"
    assert desk.hears(give_back(euro(1))).ignored == "nothing_to_do"


def test_a_part_of_an_ended_payment_is_not_returned_again():
    desk = a_captured_payment()
    desk.hears(give_back())
    desk.refund_answered(DONE)

    assert desk.hears(give_back(euro(1), SECOND_REFUND)).ignored == "nothing_to_do"


def test_a_refused_reversal_waits_for_a_person():
    desk = a_captured_payment()
    desk.hears(give_back())

    desk.refund_answered(Answer(outcome=Outcome.DENIED, code="refund_refused"))

    payment = desk.payment
    assert (payment.status, payment.refund_reserved, payment.refunded) == (PaymentStatus.REVERSING, 0, 0)
    assert desk.told == [
        PaymentUnresolved(order_id=ORDER, payment_id=payment.id, cause="reversal_refused: refund_refused")
    ]
    assert desk.refund_answered(DENIED).ignored == "nothing_to_do"


def test_a_part_is_reserved_when_it_is_asked_for_and_returned_when_the_provider_says_so():
    desk = a_captured_payment()

    desk.hears(give_back(euro(500)))
    reserved = (desk.payment.refund_reserved, desk.payment.refunded, desk.payment.rest)
    desk.refund_answered(DONE)

    payment = desk.payment
    assert reserved == (500, 0, 2098)
    assert (payment.status, payment.refund_reserved, payment.refunded) == (PaymentStatus.CAPTURED, 0, 500)
    assert desk.told == [RefundSucceeded(order_id=ORDER, customer_id=CUSTOMER, refund_id=REFUND, amount=euro(500))]
    assert [entry.money for entry in desk.booked] == [euro(500)]


def test_a_refused_part_frees_what_it_had_reserved():
    desk = a_captured_payment()
    desk.hears(give_back(euro(500)))

    desk.refund_answered(Answer(outcome=Outcome.DENIED))

    assert (desk.payment.rest, desk.payment.refunds[0].status) == (2598, RefundStatus.FAILED)
    assert desk.told == [RefundFailed(order_id=ORDER, refund_id=REFUND, amount=euro(500), code="refund_refused")]


def test_the_same_refund_is_not_asked_for_twice():
    desk = a_captured_payment()
    desk.hears(give_back(euro(500)))

    assert desk.hears(give_back(euro(500))).ignored == "nothing_to_do"


@pytest.mark.parametrize(
    ("money", "code"),
    [
        (euro(2599), "refund_exceeds_paid"),
        (euro(0), "refund_exceeds_paid"),
        (Money(amount=1, currency="USD"), "currency_mismatch"),
    ],
)
def test_a_refund_that_cannot_be_is_kept_as_failed_and_told(money, code):
    desk = a_captured_payment()

    desk.hears(give_back(money))

    [refund] = desk.payment.refunds
    [failed] = desk.told
    assert (refund.status, refund.call.code, failed.code) == (RefundStatus.FAILED, code, code)
    assert desk.payment.refund_reserved == 0


def test_two_refunds_cannot_take_more_than_was_captured():
    desk = a_captured_payment()
    desk.hears(give_back(euro(2000)))

    desk.hears(give_back(euro(599), SECOND_REFUND))

    assert [failed.code for failed in desk.told] == ["refund_exceeds_paid"]
    assert desk.payment.refund_reserved == 2000


def test_an_unknown_refund_keeps_its_key_and_its_reserve():
    desk = a_captured_payment()
    desk.hears(give_back(euro(500)))

    desk.refund_answered(SILENT)

    [refund] = desk.payment.refunds
    assert (refund.status, refund.call.key) == (RefundStatus.UNKNOWN, f"ref:{REFUND}")
    assert (refund.call.due_at, desk.payment.refund_reserved) == (NOW + timedelta(seconds=0.5), 500)
    assert desk.told == []
    desk.now = NOW + timedelta(minutes=15)
    desk.refund_answered(SILENT)
    assert [event.cause for event in desk.told] == ["refund_unknown"]
    desk.refund_answered(SILENT)
    assert desk.told == []


@pytest.mark.parametrize(("answer", "rest"), [(DONE, 2098), (DENIED, 2598)])
def test_a_reversal_waits_for_open_parts_and_then_takes_the_rest(answer, rest):
    desk = a_captured_payment()
    desk.hears(give_back(euro(500)))

    desk.hears(give_back(refund_id=SECOND_REFUND))
    waiting = (desk.payment.status, len(desk.payment.refunds))
    desk.refund_answered(answer)

    assert waiting == (PaymentStatus.REVERSING, 1)
    _part, reversal = desk.payment.refunds
    assert (reversal.id, reversal.amount, reversal.reverses) == (SECOND_REFUND, rest, True)
    assert len(desk.told) == 1
    desk.refund_answered(DONE)
    assert desk.payment.status is PaymentStatus.REVERSED
    assert desk.told == [ALL_RETURNED]


def test_a_reversal_waits_for_every_open_part():
    desk = a_captured_payment()
    desk.hears(give_back(euro(500)))
    desk.hears(give_back(euro(600), SECOND_REFUND))
    desk.hears(cancelled())

    desk.refund_answered(DONE, place=0)

    assert len(desk.payment.refunds) == 2
    desk.refund_answered(DONE, place=1)
    assert desk.payment.refunds[-1].amount == 1498


def test_where_parts_have_returned_everything_a_reversal_is_done_at_once():
    desk = a_captured_payment()
    desk.hears(give_back(euro(2598)))
    desk.refund_answered(DONE)

    desk.hears(give_back(refund_id=SECOND_REFUND))

    assert (desk.payment.status, len(desk.payment.refunds)) == (PaymentStatus.REVERSED, 1)
    assert desk.told == [ALL_RETURNED]


def test_the_last_open_part_may_complete_a_reversal():
    desk = a_captured_payment()
    desk.hears(give_back(euro(2598)))
    desk.hears(cancelled())

    desk.refund_answered(DONE)

    assert [type(event) for event in desk.told] == [RefundSucceeded, PaymentCancelled]
    assert desk.payment.status is PaymentStatus.REVERSED
