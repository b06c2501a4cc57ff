"""Whoever guesses has to wait ever longer; whoever is at home is not kept out by others' guesses."""

from datetime import timedelta

import pytest

from auth_service.domain.attempt import FREE, FREE_OF_A_PLACE, TakeBack, TooManyTries, Tries, TryRegister, TrySignIn
from auth_service.domain.session import StartSession
from tests.support.auth_service import DAY, FIRST, NOW, TRIED, USER, Accounts, a_user

HOME, ABROAD = b"home", b"abroad"


def tried(account=b"ann", place=ABROAD):
    return TrySignIn(account=account, place=place)


def a_count(account=b"ann", place=b"", **given):
    return Tries(**{"account": account, "place": place, "free_at": NOW, "last_at": NOW} | given)


def signing_in(place):
    return StartSession(
        user_id=USER, tried=tried(place=place), proved="hash of the password", digest=FIRST, client=None, lasts=DAY
    )


def waits(accounts, command):
    """How many seconds the next try would have to wait; 0 when it may come at once."""
    try:
        accounts.decide(command)
    except TooManyTries as refused:
        return int(refused.headers["Retry-After"])
    return 0


def test_the_first_ten_may_come_at_once_then_each_waits_twice_as_long_up_to_a_minute():
    accounts = Accounts()
    for _ in range(FREE):
        accounts.decide(tried())

    waited = []
    for _ in range(9):
        waited.append(waits(accounts, tried()))
        accounts.now += timedelta(seconds=waited[-1])
        accounts.decide(tried())

    assert waited == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_try_that_comes_too_early_counts_for_nothing():
    accounts = Accounts(a_count(failures=FREE, free_at=NOW + timedelta(seconds=1)))
    before = dict(accounts.store.things)

    assert waits(accounts, tried()) == 1
    assert accounts.store.things == before


def test_whoever_signs_in_beside_another_process_whose_clock_is_ahead_waits_for_nothing():
    accounts = Accounts(a_count(place=HOME, free_at=NOW + timedelta(milliseconds=20)))

    assert waits(accounts, tried(place=HOME)) == 0


def test_failures_elsewhere_add_up_whatever_place_they_come_from():
    accounts = Accounts()
    for number in range(FREE):
        accounts.decide(tried(place=b"place %d" % number))

    assert waits(accounts, tried(place=b"yet another")) == 1


def test_an_owner_at_home_is_not_kept_out_by_those_who_guess_elsewhere():
    accounts = Accounts(a_user())
    accounts.decide(signing_in(HOME))
    for _ in range(FREE):
        accounts.decide(tried(place=ABROAD))

    assert waits(accounts, tried(place=ABROAD)) == 1
    assert waits(accounts, tried(place=HOME)) == 0


def test_an_owner_at_home_is_not_kept_out_by_those_who_guess_at_the_same_address():
    accounts = Accounts(a_user())
    accounts.decide(signing_in(HOME))
    for number in range(FREE_OF_A_PLACE):
        accounts.decide(tried(b"account %d" % number, HOME))

    assert waits(accounts, tried(b"another account", HOME)) == 1
    assert waits(accounts, tried(place=HOME)) == 0


def test_an_owner_at_home_does_not_set_those_free_who_guess_at_the_same_address():
    accounts = Accounts(a_user())
    accounts.decide(signing_in(HOME))
    for number in range(FREE_OF_A_PLACE):
        accounts.decide(tried(b"account %d" % number, HOME))
    accounts.decide(tried(place=HOME))
    accounts.decide(signing_in(HOME))

    assert waits(accounts, tried(b"another account", HOME)) == 1


def test_at_home_one_may_not_guess_for_ever_either():
    accounts = Accounts(a_user())
    accounts.decide(signing_in(HOME))
    for _ in range(FREE):
        accounts.decide(tried(place=HOME))

    assert waits(accounts, tried(place=HOME)) == 1


def test_an_owner_who_signs_in_at_home_does_not_set_those_free_who_guess_elsewhere():
    accounts = Accounts(a_user())
    accounts.decide(signing_in(HOME))
    for _ in range(FREE):
        accounts.decide(tried(place=ABROAD))
    accounts.decide(tried(place=HOME))
    accounts.decide(signing_in(HOME))

    assert waits(accounts, tried(place=ABROAD)) == 1


def test_a_sign_in_from_a_new_place_takes_back_its_own_try_alone():
    accounts = Accounts(a_user(), a_count(failures=5), a_count(b"", ABROAD, failures=7))
    accounts.decide(tried(place=ABROAD))

    accounts.decide(signing_in(ABROAD))

    assert accounts.store.things[Tries, (b"ann", b"")].failures == 5
    assert accounts.store.things[Tries, (b"", ABROAD)].failures == 7
    assert accounts.store.things[Tries, (b"ann", ABROAD)] == a_count(place=ABROAD)


def test_one_place_may_try_a_hundred_accounts_and_then_has_to_wait():
    accounts = Accounts()
    for number in range(FREE_OF_A_PLACE):
        accounts.decide(tried(b"account %d" % number))

    assert waits(accounts, tried(b"another account")) == 1
    assert waits(accounts, tried(b"another account", b"elsewhere")) == 0


def test_after_an_hour_it_begins_anew():
    accounts = Accounts(a_count(failures=20, last_at=NOW - timedelta(minutes=61)))

    accounts.decide(tried())

    assert accounts.store.things[Tries, (b"ann", b"")].failures == 1


def test_a_try_whose_password_was_not_looked_at_is_taken_back():
    accounts = Accounts(a_count(failures=3), a_count(b"", ABROAD, failures=4))
    accounts.decide(tried())

    accounts.decide(TakeBack(tried=tried()))

    assert [accounts.store.things[Tries, key].failures for key in ((b"ann", b""), (b"", ABROAD))] == [3, 4]


def registering(place=ABROAD):
    return TryRegister(place=place, free=3)


def test_some_may_register_from_one_place_at_once_and_then_each_waits_twice_as_long_up_to_a_minute():
    accounts = Accounts()
    for _ in range(3):
        accounts.decide(registering())

    waited = []
    for _ in range(8):
        waited.append(waits(accounts, registering()))
        accounts.now += timedelta(seconds=waited[-1])
        accounts.decide(registering())

    assert waited == [1, 2, 4, 8, 16, 32, 60, 60]
    assert waits(accounts, registering(b"elsewhere")) == 0


def test_a_registration_whose_password_was_not_hashed_is_taken_back():
    accounts = Accounts()
    accounts.decide(registering())

    accounts.decide(TakeBack(tried=registering()))

    assert accounts.store.things[Tries, (b"", ABROAD)].failures == 0


def test_what_nobody_counted_cannot_be_taken_back():
    for tried in (TRIED, registering()):
        assert Accounts().decide(TakeBack(tried=tried)).changes == ()


@pytest.mark.parametrize("thing", [TRIED, a_count(), registering(HOME)])
def test_nobody_reads_in_a_log_who_tries_from_where(thing):
    assert "ann" not in repr(thing)
    assert "home" not in repr(thing)
