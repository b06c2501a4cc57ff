"""What is read of a parcel, and what is not believed of it."""

from uuid import UUID

import pytest

from chassis.ids import marked_id, new_id
from chassis.parcels import Death, identity, read, unreadable
from contracts.envelope import MESSAGE_BYTES, PARCEL_BYTES, PARCEL_EVENTS, encode
from tests.support.envelopes import enveloped
from tests.support.ledger import refunded

DEAD = "ledger_service.dead"
BROUGHT = {"queue": "ledger_service", "reason": "expired", "count": 3, "routing-keys": ["user.erased"]}


HEARD = marked_id(new_id(), "payment_service")


@pytest.mark.parametrize("topic", ["refund.succeeded", "payment.failed", "payment.\\xff", "ledger_service.dead"])
def test_a_parcels_id_is_believed_of_its_teller_and_of_a_person(topic):
    assert identity(str(HEARD), topic) == HEARD


@pytest.mark.parametrize("topic", ["user.erased", "notification.sent", "stock.nothing"])
def test_a_parcel_under_the_id_of_another_tellers_is_none_and_is_kept_under_an_id_of_its_own(topic):
    with pytest.raises(ValueError, match="another service's"):
        identity(str(HEARD), topic)

    kept = unreadable(str(HEARD), topic, b"[]", "why").message_id
    assert kept != HEARD
    assert kept == unreadable(str(HEARD), topic, b"[]", "why").message_id


def test_an_id_without_a_mark_is_one_of_the_release_before():
    parcel = new_id()

    assert {identity(str(parcel), topic) for topic in ("refund.succeeded", "user.erased")} == {parcel}


@pytest.mark.parametrize("lie", [{"source": "/auth_service"}, {"source": "/usr_1"}, {"type": "user.erased"}])
def test_an_event_that_says_it_is_anothers_is_not_read(lie):
    told = enveloped(refunded())

    with pytest.raises(ValueError, match="another's"):
        read("refund.succeeded", encode([told, told.model_copy(update=lie)]))


def test_what_is_larger_than_any_parcel_is_not_read():
    long = enveloped(refunded()).model_copy(update={"correlationid": "x" * (PARCEL_BYTES)})

    with pytest.raises(ValueError, match="larger"):
        read("refund.succeeded", encode([long]))


def test_of_what_is_larger_than_any_parcel_the_beginning_is_kept():
    kept = unreadable(str(HEARD), "user.erased", b"x" * MESSAGE_BYTES, "why").body
    whole = unreadable(str(HEARD), "user.erased", b"x" * (PARCEL_BYTES), "why").body

    assert (len(kept), len(whole)) == (4096, PARCEL_BYTES)


@pytest.mark.parametrize(
    "said",
    [
        {"subject": "x" * 256},
        {"subject": "a\0"},
        {"subject": "a\x85"},
        {"correlationid": "x" * 256},
        {"dataschema": "\n"},
        {"sequence": "9" * 256},
        {"specversion": "\x7f"},
        {"datacontenttype": "x" * 256},
        {"tracestate": "x" * 256},
        {"traceparent": "00-trace"},
        {"traceparent": f"00-{'0' * 31}x-{'0' * 16}-01"},
    ],
    ids=str,
)
def test_what_an_event_says_of_itself_has_bounds(said):
    with pytest.raises(ValueError, match="should"):
        read("refund.succeeded", encode([enveloped(refunded()).model_copy(update=said)]))


def test_a_parcel_has_as_many_events_as_are_told_in_one():
    event = enveloped(refunded())

    assert len(read("refund.succeeded", encode([event] * PARCEL_EVENTS))) == 100
    with pytest.raises(ValueError, match="at most 100"):
        read("refund.succeeded", encode([event] * (PARCEL_EVENTS + 1)))


def _of_day(days):
    return UUID(int=new_id().int + (int(days * 24 * 60 * 60 * 1000) << 80))


def test_nothing_is_known_by_the_id_of_a_day_whose_partition_is_not_made_yet():
    for day in map(_of_day, (-400, -1, 0.9)):
        assert identity(str(day), "payment.\\xff") == day
        assert read("refund.succeeded", encode([enveloped(refunded(), day)]))[0].id == day

    with pytest.raises(ValueError, match="to come"):
        identity(str(_of_day(1.1)), "user.erased")
    with pytest.raises(ValueError, match="to come"):
        read("refund.succeeded", encode([enveloped(refunded(), _of_day(1.1)), enveloped(refunded())]))


def test_a_dead_letter_is_of_the_topic_that_the_broker_has_checked():
    death = Death.of({"x-death": [BROUGHT]}, "refund.succeeded", DEAD)

    assert death == Death("refund.succeeded", "expired", 3)


def test_what_was_given_up_under_an_earlier_releases_policy_is_of_the_topic_in_its_header():
    assert Death.of({"x-death": [BROUGHT]}, DEAD, DEAD) == Death("user.erased", "expired", 3)


@pytest.mark.parametrize("count", [0, 2**31, "many", None])
def test_a_count_that_nobody_can_keep_is_one(count):
    assert Death.of({"x-death": [BROUGHT | {"count": count}]}, DEAD, DEAD).count == 1


@pytest.mark.parametrize("deaths", [None, 7, "x", [], [7]])
def test_without_a_death_that_can_be_read_somebody_put_it_there(deaths):
    assert Death.of({"x-death": deaths}, DEAD, DEAD) == Death(DEAD, "put there by hand", 1)
