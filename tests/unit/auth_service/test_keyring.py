"""Signing keys: published before they sign, and for as long as a token of theirs may be good."""

from datetime import timedelta

import pytest

from auth_service.domain.keyring import Keyring
from tests.support.auth_service import DAY, NOW

MINUTE = timedelta(minutes=1)
TOKENS_LAST = 10 * MINUTE


def made(*minutes_ago):
    return Keyring([NOW - minutes * MINUTE for minutes in minutes_ago])


@pytest.mark.parametrize(
    ("ring", "place"),
    [
        (made(0), 0),  # the first one of all signs at once
        (made(4, 90), 1),
        (made(5, 90), 0),
        (made(1, 4, 90), 2),
        (made(1, 5, 90), 1),
        (made(1, 2), 1),
    ],
)
def test_the_newest_signs_that_was_published_for_five_minutes(ring, place):
    assert ring.signer(NOW) == place


@pytest.mark.parametrize(("age", "needs"), [(30 * DAY, True), (30 * DAY - MINUTE, False)])
def test_another_is_made_when_the_newest_is_old(age, needs):
    assert Keyring([NOW - age]).needs_another(NOW, 30 * DAY) is needs


@pytest.mark.parametrize(
    ("ring", "places"),
    [
        (made(90), []),
        (made(4, 90, 900), [2]),  # the second one signs still
        (made(15, 90), []),  # it has signed for ten minutes: a token of the older one may be good
        (made(16, 90), []),  # and so it may by a clock that is a minute behind
        (made(17, 90, 900), [1, 2]),
    ],
)
def test_a_key_is_outlived_when_no_token_of_it_can_be_good(ring, places):
    assert list(ring.outlived(NOW, TOKENS_LAST)) == places
