"""An erased user: nothing says who they were, and they are told of twice."""

from datetime import timedelta

import pytest

from auth_service.domain.erasing import AGAIN_AFTER, EraseUser, Erasure, TellErasedAgain
from auth_service.domain.user import NotAnAdministrator, NotToOneself, UpdateUser, UserUnknown
from chassis.ids import new_id
from contracts.accounts import UserErased
from contracts.types import Role
from tests.support.auth_service import DAY, NOW, SESSION, USER, Accounts, a_user

ADMIN = SESSION


def an_admin(**given):
    return a_user(**{"id": ADMIN, "email": "root@example.com", "role": Role.ADMIN} | given)


def an_erased(**given):
    facts = {
        "email": f"{USER}@erased.invalid",
        "password_hash": "",
        "full_name": None,
        "disabled_at": NOW,
        "erased_at": NOW,
        "erase_again_at": NOW + AGAIN_AFTER,
        "generation": 2,
        "sessions_ended_at": NOW,
        "version": 2,
        "updated_at": NOW,
    }
    return a_user(**facts | given)


def test_an_erased_user_leaves_a_row_that_says_nothing():
    accounts = Accounts(a_user(phone_number="+4930901820"), an_admin())

    decision = accounts.decide(EraseUser(user_id=USER, by=ADMIN))

    *changed, noted = decision.changes
    assert changed == [an_erased(), Erasure(user_id=USER, email="ann@example.com")]
    assert (noted.what, noted.user_id) == ("erased", USER)
    assert decision.events == (UserErased(user_id=USER, locale="en"),)
    assert decision.sequence == 2
    assert "ann" not in repr(decision)


def test_nobody_is_erased_or_changed_who_is_erased_already():
    accounts = Accounts(an_erased(), an_admin())

    for command in (EraseUser(user_id=USER, by=ADMIN), UpdateUser(user_id=USER, fields={"full_name": "Ann"})):
        with pytest.raises(UserUnknown):
            accounts.decide(command)
    with pytest.raises(UserUnknown):
        accounts.decide(EraseUser(user_id=new_id(), by=ADMIN))


def test_what_was_on_its_way_is_caught_by_telling_again_once():
    accounts = Accounts(an_erased())
    early = accounts.decide(TellErasedAgain(user_id=USER))
    accounts.now += AGAIN_AFTER

    told = accounts.decide(TellErasedAgain(user_id=USER))
    again = accounts.decide(TellErasedAgain(user_id=USER))

    assert (early.changes, early.events) == ((), ())
    assert told.events == (UserErased(user_id=USER, locale="en"),)
    assert told.changes == (an_erased(erase_again_at=None, version=3, updated_at=NOW + AGAIN_AFTER),)
    assert (again.changes, again.events) == ((), ())
    assert accounts.decide(TellErasedAgain(user_id=new_id())).events == ()


def test_by_then_every_token_is_refused():
    assert timedelta(seconds=110) < AGAIN_AFTER


# --- who administers


@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.STAFF])
def test_only_an_administrator_administers(role):
    accounts = Accounts(a_user(), an_admin(role=role))

    for command in (EraseUser(user_id=USER, by=ADMIN), UpdateUser(user_id=USER, by=ADMIN, disabled=True)):
        with pytest.raises(NotAnAdministrator):
            accounts.decide(command)


@pytest.mark.parametrize("admin", [(), (an_admin(disabled_at=NOW - DAY),)])
def test_whoever_is_no_administrator_any_more_administers_nothing(admin):
    with pytest.raises(NotAnAdministrator):
        Accounts(a_user(), *admin).decide(UpdateUser(user_id=USER, by=ADMIN, fields={"role": "admin"}))


@pytest.mark.parametrize(
    "command",
    [
        EraseUser(user_id=ADMIN, by=ADMIN),
        UpdateUser(user_id=ADMIN, by=ADMIN, disabled=True),
        UpdateUser(user_id=ADMIN, by=ADMIN, fields={"role": Role.STAFF}),
    ],
)
def test_nobody_takes_away_their_own_role_or_account(command):
    with pytest.raises(NotToOneself):
        Accounts(an_admin()).decide(command)


def test_of_two_administrators_who_shut_each_other_out_one_stays():
    accounts = Accounts(an_admin(), a_user(role=Role.ADMIN))
    accounts.decide(UpdateUser(user_id=USER, by=ADMIN, fields={"role": Role.CUSTOMER}))

    with pytest.raises(NotAnAdministrator):
        accounts.decide(UpdateUser(user_id=ADMIN, by=USER, fields={"role": Role.CUSTOMER}))


def test_an_administrator_changes_their_own_name():
    decision = Accounts(an_admin()).decide(UpdateUser(user_id=ADMIN, by=ADMIN, fields={"full_name": "Root"}))

    assert decision.reply.full_name == "Root"
