"""Sessions: one active refresh token each, rotated at every use, and the end of the family when a copy shows up."""

from datetime import timedelta

import pytest

from auth_service.domain.lately import TooOften
from auth_service.domain.session import (
    LONGEST,
    Ending,
    EndSession,
    RefreshExpired,
    RefreshInvalid,
    RefreshToken,
    Rotate,
    SessionUnknown,
    SignedIn,
    StartSession,
    TokenState,
)
from auth_service.domain.user import AccountDisabled, ChangePassword, CredentialsWrong, UpdateUser
from tests.support.auth_service import (
    DAY,
    FIRST,
    NOW,
    SECOND,
    SESSION,
    THIRD,
    TRIED,
    USER,
    Accounts,
    a_session,
    a_token,
    a_user,
)


def a_start(**given):
    facts = {"user_id": USER, "proved": "hash of the password", "digest": FIRST, "client": "curl/8", "lasts": DAY}
    return StartSession(tried=TRIED, **facts | given)


def a_rotation(shown=FIRST, successor=SECOND, **given):
    facts = {"user_id": USER, "session_id": SESSION, "digest": shown, "successor": successor, "lasts": 2 * DAY}
    return Rotate(**facts | given)


def signed_in(**given):
    return Accounts(a_user(**given), a_session(), a_token())


# --- sign-in


def test_a_sign_in_starts_a_session_with_one_active_token():
    accounts = Accounts(a_user())

    signed = accounts.decide(a_start()).reply

    assert signed.user == a_user()
    assert signed.session == a_session(id=signed.session.id, client="curl/8")
    assert accounts.store.things[RefreshToken, FIRST] == a_token(session_id=signed.session.id)


def test_a_sign_in_with_a_password_that_was_just_changed_is_refused():
    accounts = Accounts(a_user(), a_session(), a_token())
    change = {"proved": "hash of the password", "password_hash": "new", "keep": SESSION}
    accounts.decide(ChangePassword(user_id=USER, tried=TRIED, **change))

    with pytest.raises(CredentialsWrong):
        accounts.decide(a_start(digest=SECOND))

    assert accounts.states() == {FIRST: "active"}


def test_nobody_signs_in_to_a_disabled_account():
    with pytest.raises(AccountDisabled):
        Accounts(a_user(disabled_at=NOW)).decide(a_start())


# --- rotation


def test_a_refresh_puts_a_new_token_in_place_of_the_old_one():
    accounts = signed_in()
    accounts.now = NOW + DAY / 2

    signed = accounts.decide(a_rotation()).reply

    renewed = a_session(current=SECOND, refreshed_at=NOW + DAY / 2, refreshes=1, expires_at=NOW + DAY * 5 / 2)
    assert signed == SignedIn(a_user(), renewed)
    assert accounts.session() == renewed
    assert accounts.states() == {FIRST: "rotated", SECOND: "active"}
    assert accounts.store.things[RefreshToken, SECOND] == a_token(
        digest=SECOND, issued_at=NOW + DAY / 2, expires_at=NOW + DAY * 5 / 2
    )


def test_whoever_is_given_another_role_signs_in_again():
    accounts = signed_in()
    accounts.decide(UpdateUser(user_id=USER, fields={"role": "staff"}))

    with pytest.raises(RefreshInvalid):
        accounts.decide(a_rotation())


def test_a_token_that_was_used_before_ends_the_session_for_thief_and_owner():
    accounts = signed_in()
    accounts.decide(a_rotation(FIRST, SECOND))

    reply = accounts.decide(a_rotation(FIRST, THIRD)).reply

    assert reply == SignedIn(a_user(), None)
    assert accounts.states() == {FIRST: "rotated", SECOND: "revoked"}
    assert (accounts.session().ended_at, accounts.session().ending) == (NOW, Ending.REUSED)
    with pytest.raises(RefreshInvalid):
        accounts.decide(a_rotation(SECOND, THIRD))
    assert accounts.states() == {FIRST: "rotated", SECOND: "revoked"}


def test_a_copied_token_that_shows_up_again_and_again_is_called_one_each_time():
    accounts = signed_in()
    accounts.decide(a_rotation(FIRST, SECOND))
    accounts.decide(a_rotation(FIRST, THIRD))

    decision = accounts.decide(a_rotation(FIRST, THIRD))

    assert decision.reply == SignedIn(a_user(), None)
    assert decision.changes == (accounts.session(),)
    assert accounts.session().ended_at == NOW


def test_a_session_never_has_two_active_tokens():
    accounts = signed_in()
    digests = [b"%d" % n for n in range(10)]

    for shown, successor in zip([FIRST, *digests], digests, strict=False):
        accounts.decide(a_rotation(shown, successor))
        assert list(accounts.states().values()).count("active") == 1


def test_a_token_that_has_expired_cannot_be_refreshed():
    accounts = signed_in()
    accounts.now = NOW + DAY

    with pytest.raises(RefreshExpired):
        accounts.decide(a_rotation())

    assert accounts.states() == {FIRST: "active"}


def test_a_session_ends_after_ninety_days_however_often_it_is_refreshed():
    accounts, shown = signed_in(), FIRST
    over = NOW + LONGEST

    while accounts.session().expires_at < over:
        accounts.now = accounts.session().expires_at - DAY / 2
        successor = b"%d" % accounts.now.timestamp()
        accounts.decide(a_rotation(shown, successor))
        shown = successor
    accounts.now = over

    assert accounts.session().expires_at == over
    with pytest.raises(RefreshExpired):
        accounts.decide(a_rotation(shown, b"another"))


def refreshed(accounts, shown, times):
    """The token that the last of so many refreshes gave."""
    for number in range(times):
        successor = b"%d at %d" % (number, accounts.now.timestamp())
        accounts.decide(a_rotation(shown, successor))
        shown = successor
    return shown


def test_a_session_is_refreshed_a_hundred_times_in_an_hour_and_then_no_more():
    accounts = signed_in()
    newest = refreshed(accounts, FIRST, 100)
    accounts.now = NOW + timedelta(minutes=59)

    with pytest.raises(TooOften) as refused:
        accounts.decide(a_rotation(newest, SECOND))

    assert refused.value.headers == {"Retry-After": "60"}
    assert accounts.states()[newest] == "active"
    accounts.now = NOW + timedelta(hours=1)
    assert refreshed(accounts, newest, 100) != newest
    assert accounts.session().refreshes == 100


def test_a_copied_token_ends_a_session_that_was_refreshed_too_often_as_well():
    accounts = signed_in()
    newest = refreshed(accounts, FIRST, 100)

    accounts.decide(a_rotation(FIRST, SECOND))

    assert (accounts.session().ending, accounts.states()[newest]) == (Ending.REUSED, "revoked")


def test_a_disabled_user_cannot_refresh():
    with pytest.raises(AccountDisabled):
        signed_in(disabled_at=NOW, generation=2).decide(a_rotation())


def test_a_session_of_an_earlier_generation_cannot_be_refreshed():
    with pytest.raises(RefreshInvalid):
        signed_in(generation=2).decide(a_rotation())


def test_a_token_of_a_session_that_ended_cannot_be_refreshed_even_if_it_was_left_active():
    accounts = Accounts(a_user(), a_session(ended_at=NOW, ending=Ending.LOGOUT), a_token())

    with pytest.raises(RefreshInvalid):
        accounts.decide(a_rotation())


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_nothing_is_refreshed_when_user_session_or_token_is_gone(missing):
    things = [a_user(), a_session(), a_token()]
    del things[missing]

    with pytest.raises(RefreshInvalid):
        Accounts(*things).decide(a_rotation())


# --- the end


@pytest.mark.parametrize("ending", [Ending.LOGOUT, Ending.REVOKED])
def test_a_session_that_is_ended_takes_its_active_token_along(ending):
    accounts = signed_in()

    accounts.decide(EndSession(user_id=USER, session_id=SESSION, ending=ending))

    assert accounts.session() == a_session(ended_at=NOW, ending=ending)
    assert accounts.states() == {FIRST: "revoked"}


def test_a_session_ends_once():
    accounts = signed_in()
    accounts.decide(EndSession(user_id=USER, session_id=SESSION, ending=Ending.LOGOUT))
    accounts.now = NOW + DAY

    accounts.decide(EndSession(user_id=USER, session_id=SESSION, ending=Ending.REVOKED))

    assert accounts.session() == a_session(ended_at=NOW, ending=Ending.LOGOUT)


def test_a_session_whose_token_was_forgotten_ends_all_the_same():
    accounts = Accounts(a_user(), a_session())

    accounts.decide(EndSession(user_id=USER, session_id=SESSION, ending=Ending.LOGOUT))

    assert accounts.session() == a_session(ended_at=NOW, ending=Ending.LOGOUT)


def test_nobody_ends_the_session_of_somebody_else():
    accounts = signed_in()

    with pytest.raises(SessionUnknown):
        accounts.decide(EndSession(user_id=SESSION, session_id=SESSION, ending=Ending.REVOKED))

    assert accounts.states() == {FIRST: TokenState.ACTIVE}


def test_a_session_that_never_was_cannot_be_ended():
    with pytest.raises(SessionUnknown):
        Accounts(a_user()).decide(EndSession(user_id=USER, session_id=SESSION, ending=Ending.REVOKED))
