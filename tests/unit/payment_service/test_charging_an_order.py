"""A payment from its request to the provider's answer."""

from datetime import timedelta

import pytest

from contracts.payments import PaymentCancelled, PaymentFailed, PaymentSucceeded, PaymentUnresolved
from contracts.types import ReturnKind
from payment_service.domain.answer import ProviderAnswered
from payment_service.domain.attempt import CreatePayment, OrderNotPayable, PaymentNotFound
from payment_service.domain.ledger import EntryKind
from payment_service.domain.payment import Answer, AttemptStatus, Outcome, PaymentStatus
from tests.support.payment_service import (
    CUSTOMER,
    DENIED,
    DONE,
    NOW,
    ORDER,
    REFUND,
    SILENT,
    a_captured_payment,
    a_desk,
    asked,
    cancelled,
    euro,
)


def choosing(method="tok_ok", customer=CUSTOMER):
    return CreatePayment(order_id=ORDER, customer_id=customer, method=method)


def test_a_request_with_a_method_is_charged_under_a_key_that_is_written_first():
    desk = a_desk()

    decision = desk.hears(asked())

    [attempt] = desk.payment.attempts
    assert (desk.payment.status, desk.payment.version, decision.sequence) == (PaymentStatus.PROCESSING, 1, 1)
    assert (attempt.call.key, attempt.call.due_at) == (f"pay:{desk.payment.id}:1", NOW)
    assert (attempt.call.correlation_id, attempt.call.traceparent) == ("req_1", "00-1-1-01")
    assert desk.told == []


def test_a_request_without_a_method_waits_for_one():
    desk = a_desk(asked(method=None))

    assert desk.payment.status is PaymentStatus.REQUIRES_METHOD
    assert (desk.payment.attempts, desk.payment.attempt) == ((), 0)


def test_the_customer_gives_the_method_later():
    desk = a_desk(asked(method=None))

    decision = desk.hears(choosing("tok_slow"))

    assert decision.reply is desk.payment
    assert (desk.payment.status, desk.payment.attempts[0].method) == (PaymentStatus.PROCESSING, "tok_slow")


def test_a_payment_that_has_a_method_takes_no_other():
    desk = a_desk(asked())

    with pytest.raises(OrderNotPayable):
        desk.hears(choosing())


def test_a_method_for_somebody_elses_order_finds_nothing():
    desk = a_desk(asked(method=None))

    with pytest.raises(PaymentNotFound):
        desk.hears(choosing(customer=REFUND))
    with pytest.raises(PaymentNotFound):
        a_desk().hears(choosing())


def test_a_repeated_request_charges_nothing_more():
    desk = a_desk(asked())

    decision = desk.hears(asked())

    assert decision.ignored == "nothing_to_do"
    assert len(desk.payment.attempts) == 1


def test_a_second_attempt_without_a_first_is_ignored():
    desk = a_desk()

    decision = desk.hears(asked(attempt=2))

    assert (decision.ignored, decision.changes, desk.payment) == ("nothing_to_do", (), None)


def test_a_success_captures_the_whole_amount_and_enters_it_once():
    desk = a_captured_payment()

    payment = desk.payment
    assert (payment.status, payment.captured, payment.version) == (PaymentStatus.CAPTURED, 2598, 2)
    assert desk.told == [
        PaymentSucceeded(order_id=ORDER, payment_id=payment.id, attempt=1, amount=euro(2598), provider_reference="ch_1")
    ]
    [entry] = desk.booked
    assert (entry.kind, entry.money, entry.key) == (EntryKind.CAPTURE, euro(2598), f"pay:{payment.id}:1")


def test_an_answer_that_is_told_again_changes_nothing():
    desk = a_captured_payment()

    decision = desk.charge_answered(DONE)

    assert (decision.ignored, desk.told, desk.booked) == ("nothing_to_do", [], [])


def test_a_decline_tells_the_customer_why():
    desk = a_desk(asked(), answer=DENIED)

    assert desk.payment.status is PaymentStatus.FAILED
    assert desk.payment.attempts[0].status is AttemptStatus.FAILED
    assert desk.told == [
        PaymentFailed(
            order_id=ORDER,
            customer_id=CUSTOMER,
            attempt=1,
            code="insufficient_funds",
            retryable=True,
            message="There is not enough money on this card. Please try another card.",
        )
    ]
    assert desk.booked == []


def test_a_decline_without_a_code_is_a_plain_decline():
    desk = a_desk(asked(), answer=Answer(outcome=Outcome.DENIED))

    [failed] = desk.told
    assert (failed.code, failed.message) == (
        "card_declined",
        "Your card was declined. Please try another card or ask your bank.",
    )


def test_after_a_decline_the_next_attempt_has_a_key_of_its_own():
    desk = a_desk(asked(), answer=DENIED)

    desk.hears(asked(attempt=2))

    assert desk.payment.status is PaymentStatus.PROCESSING
    assert [attempt.call.key[-2:] for attempt in desk.payment.attempts] == [":1", ":2"]
    desk.charge_answered(DONE, attempt=2)
    assert [attempt.status for attempt in desk.payment.attempts] == [AttemptStatus.FAILED, AttemptStatus.SUCCEEDED]


@pytest.mark.parametrize("again", [asked(attempt=1), asked(attempt=3), asked(attempt=2, method=None)])
def test_after_a_decline_only_the_very_next_attempt_with_a_method_counts(again):
    desk = a_desk(asked(), answer=DENIED)

    desk.hears(again)

    assert desk.payment.status is PaymentStatus.FAILED


def test_a_timeout_is_not_a_decline():
    desk = a_desk(asked(), answer=SILENT)

    [attempt] = desk.payment.attempts
    assert (desk.payment.status, attempt.status) == (PaymentStatus.UNKNOWN, AttemptStatus.UNKNOWN)
    assert (attempt.call.tries, attempt.call.due_at) == (1, NOW + timedelta(seconds=0.5))
    assert desk.told == []


def test_no_second_attempt_starts_while_one_is_unknown():
    desk = a_desk(asked(), answer=SILENT)

    desk.hears(asked(attempt=2))

    assert len(desk.payment.attempts) == 1


@pytest.mark.parametrize(("answer", "became"), [(DONE, PaymentStatus.CAPTURED), (DENIED, PaymentStatus.FAILED)])
def test_an_unknown_charge_ends_with_a_definite_answer(answer, became):
    desk = a_desk(asked(), answer=SILENT)

    desk.charge_answered(answer)

    assert desk.payment.status is became


def test_after_fifteen_minutes_of_doubt_a_person_is_told_once():
    desk = a_desk(asked(), answer=SILENT)
    desk.now = NOW + timedelta(minutes=14, seconds=59)
    desk.charge_answered(SILENT)
    told_early = desk.told

    desk.now = NOW + timedelta(minutes=15)
    desk.charge_answered(SILENT)
    told = desk.told
    desk.now = NOW + timedelta(minutes=30)
    desk.charge_answered(SILENT)

    assert (told_early, desk.told) == ([], [])
    assert told == [PaymentUnresolved(order_id=ORDER, payment_id=desk.payment.id, cause="charge_unknown")]
    assert desk.payment.status is PaymentStatus.UNKNOWN


@pytest.mark.parametrize("doubts", [0, 1])
def test_a_success_after_a_cancellation_is_never_told_and_goes_back(doubts):
    desk = a_desk(asked())
    for _ in range(doubts):
        desk.charge_answered(SILENT)
    desk.hears(cancelled())
    version = desk.payment.version

    desk.charge_answered(DONE)

    payment = desk.payment
    assert (payment.status, payment.refund_reserved, payment.version) == (PaymentStatus.REVERSING, 2598, version + 1)
    assert desk.told == []
    assert [entry.kind for entry in desk.booked] == [EntryKind.CAPTURE]
    desk.refund_answered(DONE)
    assert desk.payment.status is PaymentStatus.REVERSED
    assert desk.told == [PaymentCancelled(order_id=ORDER, kind=ReturnKind.REFUND, returned=euro(2598))]


def test_a_decline_after_a_cancellation_ends_it_with_nothing_taken():
    desk = a_desk(asked(), cancelled(), answer=DENIED)

    assert desk.payment.status is PaymentStatus.CANCELLED
    assert desk.told == [PaymentCancelled(order_id=ORDER, kind=ReturnKind.NONE)]


def test_an_answer_about_nothing_that_is_known_is_ignored():
    nobodys = ProviderAnswered(order_id=ORDER, key="pay:other:1", answer=DONE)

    assert a_desk().hears(nobodys).ignored == "payment_unknown"
    assert a_desk(asked()).hears(nobodys).ignored == "nothing_to_do"
