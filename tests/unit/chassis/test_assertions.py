"""Whose word counts at a service, for whom, and for how long."""

import pytest
from pydantic import SecretStr

from chassis.assertions import Asserter, Assertions, derived, key_of
from chassis.authentication import shown
from chassis.caller import Caller
from chassis.ids import new_id
from chassis.revocations import RevocationsUnavailable
from chassis.tokens import Role, TokenExpired, TokenRevoked, Verifier
from tests.support.false_words import false_words

NOW, UNTIL = 1_800_000_000.0, 1_800_000_600
EDGE_KEY = "of order_service"
ANN = Caller(new_id(), Role.CUSTOMER, new_id(), good_until=UNTIL)
PROGRAM = Caller(new_id(), Role.ADMIN, new_id(), frozenset({"orders:read", "orders:write"}), good_until=UNTIL)


class Clock:
    at = NOW

    def __call__(self):
        return self.at


def the_assertions(clock=None, service="order_service", key=EDGE_KEY):
    return Assertions(service, SecretStr(key), now=clock or Clock())


def an_asserter(by="gateway", at="order_service", key=EDGE_KEY, clock=None):
    return Asserter(by, SecretStr(key_of(key, by, at)), now=clock or Clock())


class Parts:
    """What the edge of a service asks who it is that asks."""

    def __init__(self, clock, fetch_ended=None):
        self.assertions = the_assertions(clock)
        self.verifier = Verifier(self._none, fetch_ended, issuer="x", now=clock)

    async def _none(self):
        return {"keys": []}

    async def caller(self, said, authorization=None):
        return await self.verifier.verify(shown(self, said.decode("latin-1"), authorization))


# --- what is ours


@pytest.mark.parametrize("caller", [ANN, PROGRAM])
async def test_the_gateway_is_believed_about_who_asks_until_their_token_ends(caller):
    parts = Parts(clock := Clock())
    said = an_asserter().said(caller)

    told = await parts.caller(said)
    clock.at = UNTIL - 1
    again = await parts.caller(said)
    clock.at = UNTIL

    assert (told, told.good_until) == (caller, UNTIL)
    assert again is told
    with pytest.raises(TokenExpired):
        await parts.caller(said)


def test_who_comes_on_nobodys_behalf_is_believed_for_five_to_ten_minutes():
    clock = Clock()
    asserter, assertions = an_asserter("notification_service", clock=clock), the_assertions(clock)

    said = asserter.said()
    assert assertions.comes(said) == "notification_service"
    assert assertions.read(said).caller is None
    clock.at = NOW + 299
    assert asserter.said() is said
    clock.at = NOW + 300
    later = asserter.said()
    assert later != said
    clock.at = NOW + 600
    assert [assertions.comes(each) for each in (said, later)] == [None, "notification_service"]


def test_a_statement_is_made_once_for_each_token():
    asserter = an_asserter()
    refreshed = Caller(ANN.user_id, ANN.role, ANN.session_id, good_until=UNTIL + 60)

    assert asserter.said(ANN) is asserter.said(ANN)
    assert asserter.said(refreshed) != asserter.said(ANN)


# --- what is not


SAID = an_asserter().said(ANN)
FALSE = false_words(EDGE_KEY, "order_service", "payment_service", ANN)


@pytest.mark.parametrize("name", FALSE)
def test_what_the_gateway_has_not_said_here_is_not_believed(name):
    assertions = the_assertions()

    assert assertions.comes(FALSE[name]) == ("payment_service" if name == "a neighbour's, with its key" else None)
    assert assertions.for_somebody(FALSE[name]) is None


def test_what_was_altered_was_good_before():
    assert the_assertions().for_somebody(SAID).caller == ANN


@pytest.mark.parametrize(
    "words",
    ["", "1800000600.5", "soon", "nan", "1800000600 usr_1", "1800000600 x y z", "1800000600  ses_1 admin"],
)
def test_a_neighbour_that_says_what_cannot_be_read_is_not_believed_and_breaks_nothing(words):
    what = f"order_service {words}".encode()
    key = key_of(EDGE_KEY, "order_service", "order_service").encode()
    mac = derived(key.decode(), what.decode()).hex().encode()

    assert the_assertions().read(mac + b" " + what) is None


def test_a_neighbour_comes_in_its_own_name_and_speaks_for_nobody():
    said = an_asserter("payment_service").said(ANN)
    parts = Parts(Clock())

    assert parts.assertions.comes(said) == "payment_service"
    assert parts.assertions.for_somebody(said) is None
    assert shown(parts, said.decode(), None) == ""


def test_a_statement_is_no_token_and_a_token_no_statement():
    parts = Parts(Clock())
    said = SAID.decode()

    assert shown(parts, None, f"Bearer {said}") == said
    assert parts.verifier.known(said) is None
    assert shown(parts, "Bearer x", "Bearer x") == "x"


def test_no_key_leads_to_another_and_none_to_the_edge_key():
    keys = {key_of(key, by, at) for key in "ab" for by in ("x", "y") for at in ("x", "y")}

    assert len(keys) == 8
    assert derived("a", "digests of places").hex() not in keys


# --- what has ended


async def test_who_has_ended_is_refused_once_the_list_is_read():
    ended = set()

    async def fetch():
        return ended

    parts = Parts(Clock(), fetch)
    assert await parts.caller(SAID) == ANN

    ended.add(ANN.session_id)
    await parts.verifier.revocations.read()

    assert parts.verifier.known(parts.assertions.for_somebody(SAID)) is None
    with pytest.raises(TokenRevoked):
        await parts.caller(SAID)


async def test_where_the_list_cannot_be_read_nobody_is_let_in():
    async def fetch():
        raise OSError

    with pytest.raises(RevocationsUnavailable):
        await Parts(Clock(), fetch).caller(SAID)
