"""Whom an edge believes about where a request comes from."""

import pytest
from pydantic import SecretStr

from chassis.assertions import NAME, Assertions
from chassis.forwarded import Forwarded, origin, site_of
from gateway.forwarding import request_headers
from tests.support.neighbours import EDGE_KEY, coming

CLAIM = [(b"x-forwarded-for", b"10.0.0.3"), (b"x-forwarded-proto", b"https")]


async def seen(headers, kind="http"):
    """What the application behind is given."""
    given = []

    async def app(scope, _receive, _send):
        given.append(scope)

    scope = {"type": kind, "client": ("172.18.0.7", 5), "scheme": "http", "headers": headers}
    await Forwarded(app, Assertions("order_service", SecretStr(EDGE_KEY)))(scope, None, None)
    return given[0]


async def test_the_gateway_is_believed_wherever_it_is():
    through = request_headers(
        {"headers": [(NAME, b"mine"), (b"accept", b"*/*")], "client": ("10.0.0.3", 9), "scheme": "https"},
        coming("gateway", "order_service"),
    )

    scope = await seen(through)

    assert (scope["client"], scope["scheme"]) == (("10.0.0.3", 0), "https")
    assert [pair for pair in scope["headers"] if pair[0] != NAME] == [(b"accept", b"*/*"), *CLAIM]
    assert "past_gateway" not in scope


@pytest.mark.parametrize(
    "said",
    [
        None,
        b"",
        b"of the release before",
        coming("gateway", "payment_service").said(),
        coming("gateway", "order_service", "another key").said(),
        "\xe9".encode("latin-1"),
    ],
)
async def test_whoever_is_not_the_gateway_comes_from_where_they_are(said):
    scope = await seen([*CLAIM, *([(NAME, said)] if said is not None else [])])

    assert (scope["client"], scope["scheme"]) == (("172.18.0.7", 5), "http")
    assert scope["past_gateway"]


async def test_what_the_gateway_does_not_know_stays_as_it_is():
    scope = await seen([(NAME, coming("gateway", "order_service").said())])

    assert (scope["client"], scope["scheme"]) == (("172.18.0.7", 5), "http")


async def test_a_neighbour_is_a_place_of_its_own_whatever_it_claims():
    scope = await seen([*CLAIM, (NAME, coming("payment_service", "order_service").said())])

    assert (site_of(scope), scope["scheme"]) == ("payment_service", "http")


async def test_a_place_is_known_before_a_request_is_passed_on():
    edge = Forwarded(None, Assertions("order_service", SecretStr(EDGE_KEY)))
    said = [[(NAME, coming(who, "order_service").said())] for who in ("gateway", "auth_service")]
    scopes = [{"client": ("172.18.0.7", 5), "headers": [*CLAIM, *more]} for more in (*said, [])]

    assert [edge.place(scope) for scope in scopes] == ["10.0.0.3", "auth_service", "past the gateway"]
    assert {scope["client"] for scope in scopes} == {("172.18.0.7", 5)}


async def test_what_is_no_request_passes():
    assert (await seen([], kind="lifespan"))["type"] == "lifespan"


def test_a_request_counts_for_its_clients_place_and_past_the_gateway_for_one_that_is_nobodys():
    places = {origin({"client": (f"2001:db8:1:{network}::9", 0)}) for network in (1, 2)}
    past = {site_of({"client": (address, 0), "past_gateway": True}) for address in ("127.0.0.1", "2001:db8::1")}

    assert places == {"2001:db8:1:1::/64", "2001:db8:1:2::/64"}
    assert site_of({"client": ("2001:db8:1:2::9", 0)}) == "2001:db8:1::/48"
    assert (len(past), origin({"client": ("127.0.0.1", 0)}) in past, origin({"client": None})) == (1, False, "")
