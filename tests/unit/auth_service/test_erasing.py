"""An erased user: nothing says who they were, and they are told of twice."""

from datetime import timedelta

import pytest

from auth_service.domain.erasing import AGAIN_AFTER, EraseUser, Erasure, TellErasedAgain
from auth_service.domain.session import SessionOver
from auth_service.domain.user import Asker, NotAnAdministrator, NotToOneself, UpdateUser, UserUnknown
from chassis.ids import new_id
from contracts.accounts import UserErased
from contracts.types import Role
from tests.support.auth_service import NOW, SESSION, USER, Accounts, a_session, a_user

ADMIN = new_id()
BY = Asker(ADMIN, SESSION)
ASKING = a_session(user_id=ADMIN)


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
    accounts = Accounts(a_user(phone_number="+4930901820"), an_admin(), ASKING)

    decision = accounts.decide(EraseUser(user_id=USER, by=BY))

    *changed, noted = decision.changes
    assert changed == [an_erased(), Erasure(user_id=USER, email="ann@example.com")]
    assert (noted.what, noted.user_id) == ("erased", USER)
    assert decision.events == (UserErased(user_id=USER, locale="en"),)
    assert decision.sequence == 2
    assert "ann" not in repr(decision)


def test_nobody_is_erased_or_changed_who_is_erased_already():
    accounts = Accounts(an_erased(), an_admin(), ASKING)

    for command in (EraseUser(user_id=USER, by=BY), UpdateUser(user_id=USER, fields={"full_name": "Ann"})):
        with pytest.raises(UserUnknown):
            accounts.decide(command)
    with pytest.raises(UserUnknown):
        accounts.decide(EraseUser(user_id=new_id(), by=BY))


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
    accounts = Accounts(a_user(), an_admin(role=role), ASKING)

    for command in (EraseUser(user_id=USER, by=BY), UpdateUser(user_id=USER, by=BY, disabled=True)):
        with pytest.raises(NotAnAdministrator):
            accounts.decide(command)


@pytest.mark.parametrize(
    "things",
    [
        (ASKING,),
        (an_admin(),),
        (an_admin(), a_session(user_id=USER)),
        (an_admin(), a_session(user_id=ADMIN, ended_at=NOW)),
        (an_admin(generation=2), ASKING),
    ],
)
def test_whoever_asks_in_a_session_that_is_over_administers_nothing(things):
    for command in (EraseUser(user_id=USER, by=BY), UpdateUser(user_id=USER, by=BY, fields={"role": "admin"})):
        with pytest.raises(SessionOver):
            Accounts(a_user(), *things).decide(command)


@pytest.mark.parametrize(
    "command",
    [
        EraseUser(user_id=ADMIN, by=BY),
        UpdateUser(user_id=ADMIN, by=BY, disabled=True),
        UpdateUser(user_id=ADMIN, by=BY, fields={"role": Role.STAFF}),
    ],
)
def test_nobody_takes_away_their_own_role_or_account(command):
    with pytest.raises(NotToOneself):
        Accounts(an_admin(), ASKING).decide(command)


def test_of_two_administrators_who_shut_each_other_out_one_stays():
    other = a_session(id=new_id())
    accounts = Accounts(an_admin(), ASKING, a_user(role=Role.ADMIN), other)
    accounts.decide(UpdateUser(user_id=USER, by=BY, fields={"role": Role.CUSTOMER}))

    with pytest.raises(SessionOver):
        accounts.decide(UpdateUser(user_id=ADMIN, by=Asker(USER, other.id), fields={"role": Role.CUSTOMER}))


def test_an_administrator_changes_their_own_name():
    decision = Accounts(an_admin(), ASKING).decide(UpdateUser(user_id=ADMIN, by=BY, fields={"full_name": "Root"}))

    assert decision.reply.full_name == "Root"
