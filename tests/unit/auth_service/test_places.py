"""Whose place a request adds to."""

from types import SimpleNamespace

from pydantic import SecretStr

from auth_service.throttling import site, where


def a_request(address, **more):
    parts = SimpleNamespace(settings=SimpleNamespace(edge_key=SecretStr("t")))
    return SimpleNamespace(scope={"client": (address, 0), **more}, parts=parts)


def test_all_who_go_past_the_gateway_are_one_place_and_no_customers():
    past = [a_request(address, past_gateway=True) for address in ("127.0.0.1", "10.0.0.3", "2001:db8::1")]

    for place in (where, site):
        assert len({place(request) for request in past}) == 1
        assert place(past[0]) != place(a_request("127.0.0.1"))
