"""What is read of a parcel, and what is not believed of it."""

import pytest

from chassis.ids import marked_id, new_id
from chassis.parcels import Death, identity, read, unreadable
from contracts.envelope import MESSAGE_BYTES, encode
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
    long = enveloped(refunded()).model_copy(update={"correlationid": "x" * (MESSAGE_BYTES // 2)})

    with pytest.raises(ValueError, match="larger"):
        read("refund.succeeded", encode([long]))


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
