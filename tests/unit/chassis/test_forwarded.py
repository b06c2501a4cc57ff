"""Whom an edge believes about where a request comes from."""

import pytest
from loguru import logger
from pydantic import SecretStr

from chassis.forwarded import Forwarded, origin, site_of
from gateway.forwarding import request_headers

KEY = SecretStr("of the gateway")
CLAIM = [(b"x-forwarded-for", b"10.0.0.3"), (b"x-forwarded-proto", b"https")]


async def seen(headers, key=KEY, kind="http"):
    """What the application behind is given."""
    given = []

    async def app(scope, _receive, _send):
        given.append(scope)

    scope = {"type": kind, "client": ("172.18.0.7", 5), "scheme": "http", "headers": headers}
    await Forwarded(app, key)(scope, None, None)
    return given[0]


async def test_the_gateway_is_believed_wherever_it_is_and_its_key_goes_no_further():
    through = request_headers(
        {"headers": [(b"x-gateway-key", b"mine"), (b"accept", b"*/*")], "client": ("10.0.0.3", 9), "scheme": "https"},
        KEY.get_secret_value().encode(),
    )

    scope = await seen(through)

    assert (scope["client"], scope["scheme"]) == (("10.0.0.3", 0), "https")
    assert scope["headers"] == [(b"accept", b"*/*"), *CLAIM]
    assert "past_gateway" not in scope


@pytest.mark.parametrize("shown", [None, b"", b"another", b"of the gatewa", "\xe9".encode("latin-1")])
async def test_whoever_shows_no_key_or_another_one_comes_from_where_they_are(shown):
    scope = await seen([*CLAIM, *([(b"x-gateway-key", shown)] if shown is not None else [])])

    assert (scope["client"], scope["scheme"]) == (("172.18.0.7", 5), "http")
    assert scope["headers"] == CLAIM
    assert scope["past_gateway"]


@pytest.mark.parametrize("key", [None, SecretStr("")])
async def test_without_a_key_of_its_own_an_edge_believes_nobody_and_says_so(key):
    said = []
    sink = logger.add(said.append, format="{message}")

    scope = await seen([*CLAIM, (b"x-gateway-key", b"")], key)
    logger.remove(sink)

    assert scope["client"] == ("172.18.0.7", 5)
    assert said == ["no ORDERMILL_GATEWAY_KEY: whoever comes through the gateway comes from one place\n"]


async def test_what_the_gateway_does_not_know_stays_as_it_is():
    scope = await seen([(b"x-gateway-key", KEY.get_secret_value().encode())])

    assert (scope["client"], scope["scheme"]) == (("172.18.0.7", 5), "http")


async def test_a_place_is_known_before_a_request_is_passed_on():
    edge = Forwarded(None, KEY)
    through = [*CLAIM, (b"x-gateway-key", KEY.get_secret_value().encode())]
    scopes = [{"client": ("172.18.0.7", 5), "headers": headers} for headers in (through, CLAIM, [])]

    assert [edge.place(scope) for scope in scopes] == ["10.0.0.3", "past the gateway", "past the gateway"]
    assert scopes[0]["headers"] == through


async def test_what_is_no_request_passes():
    assert (await seen([], kind="lifespan"))["type"] == "lifespan"


def test_a_request_counts_for_its_clients_place_and_past_the_gateway_for_one_that_is_nobodys():
    places = {origin({"client": (f"2001:db8:1:{network}::9", 0)}) for network in (1, 2)}
    past = {site_of({"client": (address, 0), "past_gateway": True}) for address in ("127.0.0.1", "2001:db8::1")}

    assert places == {"2001:db8:1:1::/64", "2001:db8:1:2::/64"}
    assert site_of({"client": ("2001:db8:1:2::9", 0)}) == "2001:db8:1::/48"
    assert (len(past), origin({"client": ("127.0.0.1", 0)}) in past, origin({"client": None})) == (1, False, "")
