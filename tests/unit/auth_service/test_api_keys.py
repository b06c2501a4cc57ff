"""API keys: within scopes, for a limited time, and no longer than their owner may act."""

from datetime import timedelta

import pytest

from auth_service.domain.api_key import (
    MOST,
    ApiKey,
    ApiKeyInvalid,
    ApiKeyUnknown,
    CreateApiKey,
    KeyRing,
    RevokeApiKey,
    TooManyApiKeys,
    UseApiKey,
)
from auth_service.domain.lately import TooOften
from auth_service.domain.session import Ending, EndSession, SessionOver
from auth_service.domain.user import AccountDisabled, Asker, ChangePassword, UpdateUser
from chassis.ids import new_id
from tests.support.auth_service import DAY, NOW, SESSION, TRIED, USER, Accounts, a_session, a_token, a_user


def a_creation(digest=b"digest"):
    return CreateApiKey(
        by=Asker(USER, SESSION), digest=digest, hint="sk_abcd", name="till 3", scopes=("orders:read",), lasts=90 * DAY
    )


def a_key(**given):
    facts = {
        "id": SESSION,
        "user_id": USER,
        "digest": b"digest",
        "hint": "sk_abcd",
        "name": "till 3",
        "scopes": ("orders:read",),
        "created_at": NOW,
        "expires_at": NOW + 90 * DAY,
    }
    return ApiKey(**facts | given)


def test_a_key_is_made_for_its_owner():
    decision = Accounts(a_user(), a_session()).decide(a_creation())

    assert decision.reply == a_key(id=decision.reply.id)
    *made, noted = decision.changes
    assert made == [decision.reply, KeyRing(user_id=USER, count=1, made=(NOW,))]
    assert (noted.what, noted.user_id) == ("api_key_created", USER)


def test_twenty_keys_are_enough():
    accounts = Accounts(a_user(), a_session())
    for number in range(MOST):
        accounts.decide(a_creation(digest=b"%d" % number))

    with pytest.raises(TooManyApiKeys):
        accounts.decide(a_creation())


def test_a_hundred_keys_a_day_are_enough_whatever_has_become_of_them():
    accounts = Accounts(a_user(), a_session(), KeyRing(user_id=USER, made=(NOW - DAY, *[NOW] * 99)))
    accounts.now += timedelta(hours=1)
    accounts.decide(a_creation())

    with pytest.raises(TooOften) as refused:
        accounts.decide(a_creation())

    assert refused.value.headers == {"Retry-After": "82800"}
    accounts.now = NOW + DAY
    assert accounts.decide(a_creation()).reply.created_at == NOW + DAY


@pytest.mark.parametrize(
    "things",
    [
        (),
        (a_user(),),
        (a_user(), a_session(user_id=new_id())),
        (a_user(), a_session(ended_at=NOW)),
        (a_user(generation=2), a_session()),
    ],
)
def test_whose_session_is_over_makes_no_key(things):
    with pytest.raises(SessionOver):
        Accounts(*things).decide(a_creation())


@pytest.mark.parametrize(
    "ends",
    [
        UpdateUser(user_id=USER, disabled=True),
        EndSession(user_id=USER, session_id=SESSION, ending=Ending.REVOKED),
        ChangePassword(user_id=USER, tried=TRIED, proved=a_user().password_hash, password_hash="new", keep=new_id()),
    ],
)
def test_what_ends_a_session_keeps_it_from_making_keys_at_that_moment(ends):
    accounts = Accounts(a_user(), a_session(), a_token())
    accounts.decide(ends)

    with pytest.raises(SessionOver):
        accounts.decide(a_creation())


def test_the_session_that_changed_the_password_makes_keys_as_before():
    accounts = Accounts(a_user(), a_session())
    accounts.decide(
        ChangePassword(user_id=USER, tried=TRIED, proved=a_user().password_hash, password_hash="new", keep=SESSION)
    )

    assert accounts.decide(a_creation()).reply.user_id == USER


def test_a_key_that_works_is_noted_as_used_each_half_a_minute():
    accounts = Accounts(a_user(), a_key())

    used = accounts.decide(UseApiKey(digest=b"digest"))
    accounts.now += timedelta(seconds=29)
    again = accounts.decide(UseApiKey(digest=b"digest"))
    accounts.now += timedelta(seconds=1)
    later = accounts.decide(UseApiKey(digest=b"digest"))

    assert used.reply == (a_key(last_used_at=NOW), a_user())
    assert again.changes == ()
    assert later.reply[0].last_used_at == NOW + timedelta(seconds=30)


@pytest.mark.parametrize(
    "things",
    [
        (),
        (a_key(),),
        (a_user(), a_key(revoked_at=NOW)),
        (a_user(), a_key(expires_at=NOW)),
        (a_user(), a_key(digest=b"another")),
    ],
)
def test_a_key_that_does_not_work_is_refused(things):
    with pytest.raises(ApiKeyInvalid):
        Accounts(*things).decide(UseApiKey(digest=b"digest"))


def test_the_key_of_a_disabled_account_is_refused():
    with pytest.raises(AccountDisabled):
        Accounts(a_user(disabled_at=NOW), a_key()).decide(UseApiKey(digest=b"digest"))


def test_a_key_is_revoked_once_by_its_owner_alone():
    accounts = Accounts(a_user(), a_key())
    with pytest.raises(ApiKeyUnknown):
        accounts.decide(RevokeApiKey(user_id=new_id(), digest=b"digest"))

    decision = accounts.decide(RevokeApiKey(user_id=USER, digest=b"digest"))

    revoked, noted = decision.changes
    assert revoked == a_key(revoked_at=NOW)
    assert (noted.what, noted.user_id) == ("api_key_revoked", USER)
    with pytest.raises(ApiKeyUnknown):
        accounts.decide(RevokeApiKey(user_id=USER, digest=b"digest"))
    with pytest.raises(ApiKeyUnknown):
        accounts.decide(RevokeApiKey(user_id=USER, digest=b"no key"))


def test_nobody_reads_a_digest_or_a_name_in_what_is_logged():
    text = repr((a_key(), a_creation(), UseApiKey(digest=b"digest"), RevokeApiKey(user_id=USER, digest=b"digest")))

    assert "b'digest'" not in text
    assert "till" not in text
