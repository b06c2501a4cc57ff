"""Accounts: who may register, what can be changed, and what a change of the password ends."""

from datetime import timedelta

import pytest

from auth_service.domain.api_key import KeyRing, KeysEnded
from auth_service.domain.user import (
    AccountDisabled,
    ChangePassword,
    CredentialsWrong,
    EmailTaken,
    RegisterUser,
    UpdateUser,
    User,
    UserUnknown,
    VersionMismatch,
    proven,
)
from contracts.accounts import UserRegistered
from contracts.types import Role
from tests.support.auth_service import DAY, NOW, SESSION, TRIED, USER, Accounts, a_session, a_token, a_user


def a_registration(**given):
    return RegisterUser(**{"email": "ann@example.com", "password_hash": "hash"} | given)


# --- registration


def test_whoever_registers_becomes_a_customer_and_the_others_are_told():
    accounts = Accounts()

    decision = accounts.decide(a_registration(full_name="Ann", phone_number="+4930901820", locale="de"))

    user = decision.reply
    assert user == User(
        id=user.id,
        email="ann@example.com",
        password_hash="hash",
        role=Role.CUSTOMER,
        full_name="Ann",
        phone_number="+4930901820",
        locale="de",
        disabled_at=None,
        generation=1,
        version=1,
        created_at=NOW,
        updated_at=NOW,
    )
    assert decision.events == (UserRegistered(user_id=user.id, locale="de"),)
    assert decision.sequence == 1


def test_an_address_has_one_account_whatever_its_case():
    accounts = Accounts()
    accounts.decide(a_registration(email="Ann@Example.com"))

    with pytest.raises(EmailTaken) as refused:
        accounts.decide(a_registration(email="ann@example.COM "))

    assert refused.value.errors == (("#/email", "email_taken", "Sign in, or use another address."),)


def test_the_shop_registers_its_own_people():
    assert Accounts().decide(a_registration(role=Role.ADMIN)).reply.role is Role.ADMIN


def test_no_one_reads_an_address_or_a_hash_in_what_is_logged():
    text = repr((a_registration(full_name="Ann"), a_user(), Accounts().decide(a_registration())))

    assert "example.com" not in text
    assert "hash" not in text
    assert "Ann" not in text


# --- changes


def test_a_profile_changes_for_whoever_has_seen_it():
    accounts = Accounts(a_user(version=3))

    decision = accounts.decide(UpdateUser(user_id=USER, seen=3, fields={"full_name": None, "locale": "fr"}))

    assert decision.reply == a_user(version=4, full_name=None, locale="fr", updated_at=NOW)
    assert accounts.user() == decision.reply


def test_a_profile_does_not_change_for_whoever_has_seen_an_older_one():
    accounts = Accounts(a_user(version=3))

    with pytest.raises(VersionMismatch):
        accounts.decide(UpdateUser(user_id=USER, seen=2, fields={"locale": "fr"}))

    assert accounts.user() == a_user(version=3)


def test_a_change_to_the_same_changes_nothing():
    accounts = Accounts(a_user())

    decision = accounts.decide(UpdateUser(user_id=USER, seen=1, fields={"full_name": "Ann Example"}))

    assert decision.changes == ()
    assert decision.reply == a_user()


def test_nobody_can_be_changed_who_is_not_there():
    with pytest.raises(UserUnknown):
        Accounts().decide(UpdateUser(user_id=USER, fields={"role": Role.STAFF}))


def test_an_administrator_gives_roles_without_having_seen_a_version_and_ends_the_sessions_with_the_old_one():
    decision = Accounts(a_user(version=3)).decide(UpdateUser(user_id=USER, fields={"role": Role.STAFF}))

    assert decision.reply == a_user(version=4, role=Role.STAFF, generation=2, sessions_ended_at=NOW, updated_at=NOW)


def test_disabling_an_account_ends_all_its_sessions_at_once():
    decision = Accounts(a_user()).decide(UpdateUser(user_id=USER, disabled=True))

    assert decision.reply == a_user(disabled_at=NOW, generation=2, sessions_ended_at=NOW, version=2, updated_at=NOW)
    assert decision.reply.disabled


def test_an_account_that_is_disabled_already_stays_as_it_is():
    disabled = a_user(disabled_at=NOW - DAY)

    assert Accounts(disabled).decide(UpdateUser(user_id=USER, disabled=True)).changes == ()


def test_an_account_that_is_enabled_again_does_not_get_its_sessions_back():
    disabled = a_user(disabled_at=NOW - DAY, generation=2)

    decision = Accounts(disabled).decide(UpdateUser(user_id=USER, disabled=False))

    assert decision.reply == a_user(generation=2, version=2, updated_at=NOW)


# --- passwords


def a_change(**given):
    facts = {"user_id": USER, "proved": "hash of the password", "password_hash": "new hash", "keep": SESSION}
    return ChangePassword(tried=TRIED, **facts | given)


def test_a_new_password_ends_every_session_but_the_one_that_sets_it():
    accounts = Accounts(a_user(), a_session(), a_token())

    decision = accounts.decide(a_change())

    assert accounts.user() == a_user(
        password_hash="new hash", generation=2, sessions_ended_at=NOW, version=2, updated_at=NOW
    )
    assert accounts.session() == a_session(generation=2)
    assert [type(changed).__name__ for changed in decision.changes] == ["User", "Session", "Tries", "SecurityEvent"]


@pytest.mark.parametrize(
    ("ring", "keep", "ended", "note"),
    [
        (KeyRing(user_id=USER, count=2), False, [KeysEnded(user_id=USER)], "API keys ended: 2"),
        (KeyRing(user_id=USER, count=2), True, [], ""),
        (None, False, [], ""),
    ],
)
def test_a_new_password_ends_the_api_keys_unless_their_owner_keeps_them(ring, keep, ended, note):
    accounts = Accounts(a_user(), *((ring,) if ring else ()))

    *changes, noted = accounts.decide(a_change(keep_api_keys=keep)).changes

    assert [change for change in changes if isinstance(change, KeysEnded)] == ended
    assert (noted.what, noted.note) == ("password_changed", note)


def test_a_session_that_had_ended_is_not_carried_along_by_a_new_password():
    accounts = Accounts(a_user(generation=2), a_session(generation=1), a_token())

    accounts.decide(a_change())

    assert accounts.user().generation == 3
    assert accounts.session() == a_session(generation=1)


def test_a_password_can_be_changed_by_a_session_that_is_not_stored_any_more():
    accounts = Accounts(a_user())

    assert accounts.decide(a_change()).changes[0] == accounts.user()


def test_of_two_changes_of_one_password_at_once_the_second_is_refused():
    accounts = Accounts(a_user(), a_session(), a_token())
    accounts.decide(a_change(password_hash="first"))

    with pytest.raises(CredentialsWrong):
        accounts.decide(a_change(password_hash="second"))

    assert accounts.user().password_hash == "first"


def test_a_password_proves_nothing_about_nobody():
    with pytest.raises(CredentialsWrong):
        proven(None, "hash of the password")


def test_a_disabled_account_is_named_only_to_whoever_knows_its_password():
    disabled = a_user(disabled_at=NOW - timedelta(hours=1))

    with pytest.raises(AccountDisabled):
        proven(disabled, "hash of the password")
    with pytest.raises(CredentialsWrong):
        proven(disabled, "another hash")
